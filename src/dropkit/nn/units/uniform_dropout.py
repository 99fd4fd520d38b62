"""Uniform dropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import uniform_dropout


class UniformDropout(RateModule):
    """Module form of :func:`dropkit.ops.uniform_dropout`; its rate must be below 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, of any shape."""
        return uniform_dropout(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="uniform_dropout",
        family="unit noise",
        kind="op",
        op=uniform_dropout,
        module=UniformDropout,
        paper='Li et al., "Understanding the Disharmony between Dropout and Batch Normalization by Variance Shift", '
        "2018, arXiv:1801.05134 (CVPR 2019)",
        year=2018,
        law="x * (1 + r), r uniform in (-b, b), b^2 = 3 rate / (1 - rate); mean x, variance x^2 rate / (1 - rate)",
        at=("input", "hidden", "fc", "conv"),
        default_rate=0.1,
        samples=True,
        example=lambda: (UniformDropout(0.5), torch.ones(8, 16)),
    )
)
