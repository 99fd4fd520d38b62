"""MaxDropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import max_dropout


class MaxDropout(RateModule):
    """Module form of :func:`dropkit.ops.max_dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, *)``."""
        return max_dropout(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="max_dropout",
        family="unit noise",
        kind="op",
        op=max_dropout,
        module=MaxDropout,
        paper='Santos et al., "MaxDropout: Deep Neural Network Regularization Based on Maximum Output '
        'Values", ICPR 2020, '
        "arXiv:2007.13723",
        year=2020,
        law="a random share of each sample's units, rate on average, is 0: the largest ones; the others stay "
        "as they are",
        at=("hidden", "conv", "fc"),
        default_rate=0.1,
        samples=True,
        example=lambda: (MaxDropout(0.5), torch.linspace(0.5, 2.0, 128).view(8, 16)),
    )
)
