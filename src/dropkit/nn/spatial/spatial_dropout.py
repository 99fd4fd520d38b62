"""Spatial dropout as modules, for one, two and three spatial dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import spatial_dropout1d, spatial_dropout2d, spatial_dropout3d
from dropkit.ops.rate import Rate

_PAPER = (
    'Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015, arXiv:1411.4280'
)
_LAW = (
    "each channel of a sample is 0 with probability rate, else x / (1 - rate); variance x^2 rate / (1 - rate)"
)


class SpatialDropout1d(RateModule):
    """Module form of :func:`dropkit.ops.spatial_dropout1d`."""

    def __init__(self, rate: Rate = 0.5, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, L)``."""
        return spatial_dropout1d(x, self.rate, training=self.training, site=self.site)


class SpatialDropout2d(RateModule):
    """Module form of :func:`dropkit.ops.spatial_dropout2d`."""

    def __init__(self, rate: Rate = 0.5, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, H, W)``."""
        return spatial_dropout2d(x, self.rate, training=self.training, site=self.site)


class SpatialDropout3d(RateModule):
    """Module form of :func:`dropkit.ops.spatial_dropout3d`."""

    def __init__(self, rate: Rate = 0.5, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, D, H, W)``."""
        return spatial_dropout3d(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="spatial_dropout1d",
        family="spatial",
        kind="op",
        op=spatial_dropout1d,
        module=SpatialDropout1d,
        paper=_PAPER,
        year=2015,
        law=_LAW,
        at=("conv", "hidden", "embedding"),
        default_rate=0.2,
        samples=True,
        example=lambda: (SpatialDropout1d(0.5), torch.ones(4, 16, 5)),
    )
)
register(
    Variant(
        name="spatial_dropout2d",
        family="spatial",
        kind="op",
        op=spatial_dropout2d,
        module=SpatialDropout2d,
        paper=_PAPER,
        year=2015,
        law=_LAW,
        at=("conv", "hidden"),
        default_rate=0.2,
        samples=True,
        example=lambda: (SpatialDropout2d(0.5), torch.ones(4, 16, 3, 3)),
    )
)
register(
    Variant(
        name="spatial_dropout3d",
        family="spatial",
        kind="op",
        op=spatial_dropout3d,
        module=SpatialDropout3d,
        paper=_PAPER,
        year=2015,
        law=_LAW,
        at=("conv", "hidden"),
        default_rate=0.2,
        samples=True,
        example=lambda: (SpatialDropout3d(0.5), torch.ones(4, 16, 2, 2, 2)),
    )
)
