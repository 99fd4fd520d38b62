"""DropFilter as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_filter


class DropFilter(RateModule):
    """Module form of :func:`dropkit.ops.drop_filter`, for the output of a convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, *)``."""
        return drop_filter(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="drop_filter",
        family="spatial",
        kind="op",
        op=drop_filter,
        module=DropFilter,
        paper='Chen, Niu and Tian, "DropFilter: Dropout for Convolutions", 2018, arXiv:1810.09849',
        year=2018,
        law="a filter's output is 0 for the whole batch with probability rate, else x / (1 - rate); mean x, variance "
        "x^2 rate / (1 - rate)",
        at=("conv",),
        default_rate=0.1,
        samples=True,
        example=lambda: (DropFilter(0.5), torch.ones(4, 7, 3)),
    )
)
