"""Stochastic depth as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_path


class DropPath(RateModule):
    """Module form of :func:`dropkit.ops.drop_path`, for the output of a residual branch."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, *)``."""
        return drop_path(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="drop_path",
        family="depth and paths",
        kind="op",
        op=drop_path,
        module=DropPath,
        paper='Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382',
        year=2016,
        law="each sample's branch is 0 with probability rate, else x / (1 - rate); variance x^2 rate / (1 - rate)",
        at=("residual",),
        default_rate=0.1,
        samples=True,
        example=lambda: (DropPath(0.5), torch.ones(64, 4)),
    )
)
