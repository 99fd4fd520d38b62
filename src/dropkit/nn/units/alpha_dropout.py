"""Alpha dropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import alpha_dropout
from dropkit.ops.rate import Rate


class AlphaDropout(RateModule):
    """Module form of :func:`dropkit.ops.alpha_dropout`, for networks with SELU activations."""

    def __init__(self, rate: Rate = 0.5, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, of any shape."""
        return alpha_dropout(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="alpha_dropout",
        family="unit noise",
        kind="op",
        op=alpha_dropout,
        module=AlphaDropout,
        paper='Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017, arXiv:1706.02515',
        year=2017,
        law="each element is SELU's saturation value with probability rate, then a x + b; keeps mean 0, variance 1",
        at=("input", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (AlphaDropout(0.1), torch.linspace(-2.0, 2.0, 128).view(8, 16)),
    )
)
