"""Cutout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import cutout
from dropkit.ops.rate import Rate
from dropkit.ops.spatial.cutout import check_size


class Cutout(RateModule):
    """Module form of :func:`dropkit.ops.cutout`.

    Args:
        rate: Probability of cutting a square out of a sample, in ``[0, 1]``.
        size: Edge of the square in elements, at least 1.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate, size: int = 16, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        check_size(size)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, H, W)``."""
        return cutout(x, self.rate, size=self.size, training=self.training, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, size={self.size}"


register(
    Variant(
        name="cutout",
        family="spatial",
        kind="op",
        op=cutout,
        module=Cutout,
        paper='DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017, '
        "arXiv:1708.04552",
        year=2017,
        law="a sample loses a square around a uniform point, in all channels, with probability rate; nothing "
        "is rescaled",
        at=("input", "conv"),
        default_rate=0.5,
        samples=False,
        example=lambda: (Cutout(0.5, size=3), torch.ones(24, 1, 3, 4)),
    )
)
