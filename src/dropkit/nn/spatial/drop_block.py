"""DropBlock as modules, for one, two and three spatial dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_block1d, drop_block2d, drop_block3d
from dropkit.ops.rate import Rate
from dropkit.ops.spatial.drop_block import check_block_size

_PAPER = (
    'Ghiasi, Lin and Le, "DropBlock: A regularization method for convolutional networks", NeurIPS 2018, '
    "arXiv:1810.12890"
)
_LAW = (
    "blocks are 0 such that an element is dropped with probability rate, on average over a map of any size; others are "
    "x times elements / kept elements of the sample"
)


class _DropBlock(RateModule):
    def __init__(
        self, rate: Rate, block_size: int = 7, share_channels: bool = False, *, site: str | None = None
    ) -> None:
        super().__init__(rate, site=site)
        check_block_size(block_size)
        self.block_size = block_size
        self.share_channels = share_channels

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        shared = ", share_channels=True" if self.share_channels else ""
        return f"{super().extra_repr()}, block_size={self.block_size}{shared}"


class DropBlock1d(_DropBlock):
    """Module form of :func:`dropkit.ops.drop_block1d`.

    Args:
        rate: Expected share of the elements to drop, in ``[0, 1]``.
        block_size: Edge of a block in elements, at least 1.
        share_channels: Whether the channels of a sample share one mask.
        site: Name under which an active stream counts its calls.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, L)``."""
        return drop_block1d(
            x,
            self.rate,
            block_size=self.block_size,
            share_channels=self.share_channels,
            training=self.training,
            site=self.site,
        )


class DropBlock2d(_DropBlock):
    """Module form of :func:`dropkit.ops.drop_block2d`.

    Args:
        rate: Expected share of the elements to drop, in ``[0, 1]``.
        block_size: Edge of a block in elements, at least 1.
        share_channels: Whether the channels of a sample share one mask.
        site: Name under which an active stream counts its calls.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, H, W)``."""
        return drop_block2d(
            x,
            self.rate,
            block_size=self.block_size,
            share_channels=self.share_channels,
            training=self.training,
            site=self.site,
        )


class DropBlock3d(_DropBlock):
    """Module form of :func:`dropkit.ops.drop_block3d`.

    Args:
        rate: Expected share of the elements to drop, in ``[0, 1]``.
        block_size: Edge of a block in elements, at least 1.
        share_channels: Whether the channels of a sample share one mask.
        site: Name under which an active stream counts its calls.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, D, H, W)``."""
        return drop_block3d(
            x,
            self.rate,
            block_size=self.block_size,
            share_channels=self.share_channels,
            training=self.training,
            site=self.site,
        )


register(
    Variant(
        name="drop_block1d",
        family="spatial",
        kind="op",
        op=drop_block1d,
        module=DropBlock1d,
        paper=_PAPER,
        year=2018,
        law=_LAW,
        at=("conv", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (DropBlock1d(0.5, block_size=3), torch.ones(6, 4, 6)),
    )
)
register(
    Variant(
        name="drop_block2d",
        family="spatial",
        kind="op",
        op=drop_block2d,
        module=DropBlock2d,
        paper=_PAPER,
        year=2018,
        law=_LAW,
        at=("conv", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (DropBlock2d(0.5, block_size=3), torch.ones(6, 4, 5, 6)),
    )
)
register(
    Variant(
        name="drop_block3d",
        family="spatial",
        kind="op",
        op=drop_block3d,
        module=DropBlock3d,
        paper=_PAPER,
        year=2018,
        law=_LAW,
        at=("conv", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (DropBlock3d(0.5, block_size=3), torch.ones(6, 2, 4, 3, 3)),
    )
)
