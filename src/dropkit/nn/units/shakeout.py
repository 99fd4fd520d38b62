"""Shakeout as a wrapper of a linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.nn.units.linear import check_linear
from dropkit.ops import shakeout
from dropkit.ops.rate import Rate
from dropkit.ops.units.shakeout import check_strength


class Shakeout(RateModule):
    """A linear layer with :func:`dropkit.ops.shakeout` on its input.

    Args:
        rate: Probability of reversing the contribution of an input, in ``[0, 1]``.
        layer: The ``nn.Linear`` that it acts in. Its parameters stay its own.
        strength: Size of the reversed weights, at least 0; 0 is dropout.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: ``layer`` is no ``nn.Linear``.
        OptionError: ``strength`` is negative or not finite.
    """

    def __init__(
        self, rate: Rate, layer: nn.Linear, strength: float = 0.1, *, site: str | None = None
    ) -> None:
        super().__init__(rate, site=site)
        check_linear("Shakeout", layer)
        check_strength(strength)
        self.layer = layer
        self.strength = strength

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output for ``x``, shape ``(*, inputs)``, some contributions enhanced, some reversed."""
        return shakeout(
            x,
            self.rate,
            self.layer.weight,
            self.layer.bias,
            strength=self.strength,
            training=self.training,
            site=self.site,
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, strength={self.strength:g}"


register(
    Variant(
        name="shakeout",
        family="unit noise",
        kind="module",
        op=shakeout,
        module=Shakeout,
        paper='Kang, Li and Tao, "Shakeout: A New Approach to Regularized Deep Neural Network Training", '
        "IEEE TPAMI 2018, "
        "arXiv:1904.06593 (AAAI 2016)",
        year=2018,
        law="an input meets weights -c sign(w) with probability rate, else (w + c rate sign(w)) / (1 - "
        "rate); mean W x + b, "
        "variance rate / (1 - rate) times the sum of x^2 (|w| + c)^2",
        at=(),
        default_rate=0.3,
        samples=True,
        example=lambda: (Shakeout(0.5, nn.Linear(16, 16)), torch.linspace(0.5, 2.0, 128).view(8, 16)),
    )
)
