"""Conditional dropout as a module: any small network says how likely each part is to be dropped."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.ops import conditional
from dropkit.ops.learned.relaxed import check_temperature


class Conditional(nn.Module):
    """Dropout whose rates a network computes from the features.

    In training ``network(x)``, or ``network(context)``, returns probabilities of dropping, in ``[0, 1]``; end it with
    ``nn.Sigmoid``. Their shape says what a coin covers: ``(N,)`` a sample, ``(N, C)`` a channel or unit of a sample,
    the shape of ``x`` an element. See :func:`dropkit.ops.conditional` for the law. In eval mode it returns ``x``.

    Args:
        network: From features to rates.
        relaxed: Whether to relax the mask, so that ``network`` learns from the loss. Hard masks give it no gradient.
        temperature: Of the relaxation, above 0.
        site: Name under which an active stream counts its calls.

    Raises:
        OptionError: ``temperature`` is not positive.

    Reference:
        The general form of Ba & Frey, "Adaptive dropout for training deep neural networks", NeurIPS 2013, sec. 3.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        relaxed: bool = False,
        temperature: float = 0.1,
        site: str | None = None,
    ) -> None:
        check_temperature(temperature)
        super().__init__()
        self.network = network
        self.relaxed = relaxed
        self.temperature = temperature
        self.site = site

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Apply it to ``x``, with rates computed from ``context``, or from ``x``."""
        if not self.training:
            return x
        rates = self.network(x if context is None else context)
        return conditional(
            x, rates, training=True, relaxed=self.relaxed, temperature=self.temperature, site=self.site
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        site = "" if self.site is None else f", site={self.site!r}"
        return f"relaxed={self.relaxed}, temperature={self.temperature:g}{site}"


register(
    Variant(
        name="conditional",
        family="conditional",
        kind="module",
        op=conditional,
        module=Conditional,
        paper='Ba & Frey, "Adaptive dropout for training deep neural networks", NeurIPS 2013, in its general form',
        year=2013,
        law="each part is 0 with the rate a network gives it, else x / (1 - rate); masks hard or relaxed; mean x",
        at=("input", "hidden", "conv", "fc"),
        default_rate=None,
        samples=True,
        example=lambda: (
            Conditional(nn.Sequential(nn.Linear(16, 16), nn.Sigmoid())),
            torch.linspace(-2.0, 2.0, 128).view(8, 16),
        ),
    )
)
