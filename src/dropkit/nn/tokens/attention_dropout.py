"""Attention dropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import attention_dropout


class AttentionDropout(RateModule):
    """Module form of :func:`dropkit.ops.attention_dropout`, for attention probabilities."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to the probabilities ``x``, shape ``(*, L, S)``."""
        return attention_dropout(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="attention_dropout",
        family="attention and tokens",
        kind="op",
        op=attention_dropout,
        module=AttentionDropout,
        paper='Vaswani et al., "Attention Is All You Need", NeurIPS 2017, arXiv:1706.03762; Zehui et al., '
        '"DropAttention", arXiv:1907.11065',
        year=2017,
        law="each attention probability p is 0 with probability rate, else p / (1 - rate); variance "
        "p^2 rate / (1 - rate)",
        at=("attention",),
        default_rate=0.1,
        samples=True,
        example=lambda: (AttentionDropout(0.5), torch.full((4, 2, 3, 5), 0.2)),
    )
)
