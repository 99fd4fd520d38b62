"""Fast dropout as a wrapper of a linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.nn.units.linear import check_linear
from dropkit.ops import fast_dropout
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.ops.units import fast_dropout_moments


class FastDropout(RateModule):
    """A linear layer with :func:`dropkit.ops.fast_dropout` on its input.

    Args:
        rate: Probability of dropping an input, in ``[0, 1)``.
        layer: The ``nn.Linear`` that it acts in. Its parameters stay its own.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: ``layer`` is no ``nn.Linear``.
    """

    def __init__(self, rate: Rate, layer: nn.Linear, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        check_linear("FastDropout", layer)
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return a draw of the layer's output for ``x``, shape ``(*, inputs)``; in eval mode the layer's output."""
        return fast_dropout(
            x, self.rate, self.layer.weight, self.layer.bias, training=self.training, site=self.site
        )

    def moments(self, mean: Tensor, variance: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the layer's output under dropout, in either mode.

        Args:
            mean: Mean of the input, shape ``(*, inputs)``.
            variance: Its variance, or None: the input is known exactly.
        """
        rate = resolve_rate(self.rate)
        return fast_dropout_moments(mean, rate, self.layer.weight, self.layer.bias, variance=variance)


register(
    Variant(
        name="fast_dropout",
        family="unit noise",
        kind="module",
        op=fast_dropout,
        module=FastDropout,
        paper='Wang and Manning, "Fast dropout training", ICML 2013, PMLR 28(2)',
        year=2013,
        law="output of a linear layer, drawn from the normal law with the moments of dropout on its input: "
        "mean W x + b, "
        "variance W^2 x^2 rate / (1 - rate)",
        at=(),
        default_rate=0.5,
        samples=True,
        example=lambda: (FastDropout(0.5, nn.Linear(16, 16)), torch.linspace(0.5, 2.0, 128).view(8, 16)),
    )
)
