"""Gaussian dropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import gaussian_dropout


class GaussianDropout(RateModule):
    """Module form of :func:`dropkit.ops.gaussian_dropout`; its rate must be below 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, of any shape."""
        return gaussian_dropout(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="gaussian_dropout",
        family="unit noise",
        kind="op",
        op=gaussian_dropout,
        module=GaussianDropout,
        paper='Srivastava et al., "Dropout", JMLR 15 (2014), sec. 10',
        year=2014,
        law="x * (1 + s z), z standard normal, s^2 = rate / (1 - rate); mean x, variance x^2 rate / (1 - rate)",
        at=("input", "hidden", "fc", "conv"),
        default_rate=0.5,
        samples=True,
        example=lambda: (GaussianDropout(0.5), torch.ones(8, 16)),
    )
)
