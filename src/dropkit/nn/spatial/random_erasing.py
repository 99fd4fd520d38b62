"""Random erasing as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import random_erasing
from dropkit.ops.rate import Rate
from dropkit.ops.spatial.random_erasing import Fill, check_region


class RandomErasing(RateModule):
    """Module form of :func:`dropkit.ops.random_erasing`.

    Args:
        rate: Probability of erasing a rectangle of a sample, in ``[0, 1]``.
        smallest: Least area, a share of the image in ``(0, 1]``.
        largest: Greatest area, a share of the image.
        aspect: Least height over width, in ``(0, 1]``.
        fill: ``"zeros"`` or ``"noise"``.
        site: Name under which an active stream counts its calls.
    """

    def __init__(
        self,
        rate: Rate,
        smallest: float = 0.02,
        largest: float = 0.4,
        aspect: float = 0.3,
        fill: Fill = "zeros",
        *,
        site: str | None = None,
    ) -> None:
        super().__init__(rate, site=site)
        check_region(smallest, largest, aspect, fill)
        self.smallest = smallest
        self.largest = largest
        self.aspect = aspect
        self.fill: Fill = fill

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, H, W)``."""
        return random_erasing(
            x,
            self.rate,
            smallest=self.smallest,
            largest=self.largest,
            aspect=self.aspect,
            fill=self.fill,
            training=self.training,
            site=self.site,
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return (
            f"{super().extra_repr()}, smallest={self.smallest:g}, largest={self.largest:g}, aspect={self.aspect:g}, "
            f"fill={self.fill!r}"
        )


register(
    Variant(
        name="random_erasing",
        family="spatial",
        kind="op",
        op=random_erasing,
        module=RandomErasing,
        paper='Zhong et al., "Random Erasing Data Augmentation", 2017, arXiv:1708.04896 (AAAI 2020)',
        year=2017,
        law="a sample loses a rectangle of random area, shape and place, in all channels, with probability "
        "rate; nothing is "
        "rescaled",
        at=("input", "conv"),
        default_rate=0.5,
        samples=False,
        example=lambda: (RandomErasing(0.5, smallest=0.2), torch.ones(24, 1, 3, 4)),
    )
)
