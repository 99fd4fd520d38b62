"""Feature alpha dropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import feature_alpha_dropout
from dropkit.ops.rate import Rate


class FeatureAlphaDropout(RateModule):
    """Module form of :func:`dropkit.ops.feature_alpha_dropout`, for convolutions followed by SELU."""

    def __init__(self, rate: Rate = 0.5, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, *)``."""
        return feature_alpha_dropout(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="feature_alpha_dropout",
        family="unit noise",
        kind="op",
        op=feature_alpha_dropout,
        module=FeatureAlphaDropout,
        paper='Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017, arXiv:1706.02515',
        year=2017,
        law="each feature map is SELU's saturation value with probability rate, then a x + b; keeps mean 0, variance 1",
        at=("conv",),
        default_rate=0.1,
        samples=True,
        example=lambda: (FeatureAlphaDropout(0.1), torch.linspace(-2.0, 2.0, 512).view(8, 16, 4)),
    )
)
