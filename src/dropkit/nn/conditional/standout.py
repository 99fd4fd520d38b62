"""Standout: units that are strongly driven are kept, by a network that shares the layer's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import OptionError, Variant, register
from dropkit.ops.drop import drop
from dropkit.ops.reference import check_input


class Standout(nn.Module):
    """Wrap a layer and its activation: a unit is kept with probability ``sigmoid(alpha * a + beta)``.

    ``a`` is what ``layer`` gives a unit, bias included. In training ``y = activation(a)`` with that probability, else
    exact zero; in eval mode ``y = activation(a) * sigmoid(alpha * a + beta)``, which is the mean. No gradient reaches
    the layer through the probability of a mask. With ``alpha`` 0 it is dropout at rate ``sigmoid(-beta)``, scaled at
    test time.

    Args:
        layer: What computes ``a``; the weights of the overlaid network are ``alpha`` times its own.
        activation: From ``a`` to features, elementwise.
        alpha: Scale (dimensionless), finite. Negative: strongly driven units are dropped more.
        beta: Shift (dimensionless), finite.
        site: Name under which an active stream counts its calls.

    Raises:
        OptionError: ``alpha`` or ``beta`` is not finite.

    Reference:
        Ba & Frey, "Adaptive dropout for training deep neural networks", NeurIPS 2013, sec. 3 and 4.1, algorithm 2.
        *Departures*: ``beta`` shifts the logit of a unit (in the paper, every weight).
    """

    def __init__(
        self,
        layer: nn.Module,
        activation: nn.Module | None = None,
        *,
        alpha: float = 1.0,
        beta: float = 0.0,
        site: str | None = None,
    ) -> None:
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not -float("inf") < value < float("inf"):
                raise OptionError(f"{name} must be finite, got {value!r}")
        super().__init__()
        self.layer = layer
        self.activation = nn.ReLU() if activation is None else activation
        self.alpha = alpha
        self.beta = beta
        self.site = site

    def forward(self, x: Tensor) -> Tensor:
        """Apply layer, activation and mask to ``x``."""
        drive = self.layer(x)
        features: Tensor = self.activation(drive)
        check_input("standout", features, 0.0)
        logit = self.alpha * drive + self.beta
        if not self.training:
            mean: Tensor = features * logit.sigmoid()
            return mean
        rates = (-logit.detach().double()).sigmoid()
        return drop(features, rates, None, generator=None, site=self.site, scaled=False)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        site = "" if self.site is None else f", site={self.site!r}"
        return f"alpha={self.alpha:g}, beta={self.beta:g}{site}"


register(
    Variant(
        name="standout",
        family="conditional",
        kind="wrapper",
        op=None,
        module=Standout,
        paper='Ba & Frey, "Adaptive dropout for training deep neural networks", NeurIPS 2013, pages 3084-3092',
        year=2013,
        law="f(a) with probability k = sigmoid(alpha a + beta), a the drive of a unit, else 0; mean k f(a), as in eval",
        at=("fc", "conv"),
        default_rate=None,
        samples=True,
        example=lambda: (Standout(nn.Linear(16, 16)), torch.linspace(-2.0, 2.0, 128).view(8, 16)),
    )
)
