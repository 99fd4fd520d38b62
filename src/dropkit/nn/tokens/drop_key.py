"""DropKey as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_key


class DropKey(RateModule):
    """Module form of :func:`dropkit.ops.drop_key`, for attention scores before the softmax."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to the scores ``x``, shape ``(*, L, S)``."""
        return drop_key(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="drop_key",
        family="attention and tokens",
        kind="op",
        op=drop_key,
        module=DropKey,
        paper='Li et al., "DropKey for Vision Transformer", CVPR 2023, arXiv:2208.02646',
        year=2023,
        law="each score is replaced by -32768 with probability rate: after the softmax its key has "
        "probability 0 and the kept ones of a row sum to 1",
        at=("attention",),
        default_rate=0.1,
        samples=True,
        example=lambda: (DropKey(0.5), torch.linspace(-1, 1, 120).view(4, 2, 3, 5)),
    )
)
