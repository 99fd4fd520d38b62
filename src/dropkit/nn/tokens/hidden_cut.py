"""HiddenCut as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import hidden_cut


class HiddenCut(RateModule):
    """Module form of :func:`dropkit.ops.hidden_cut`, for hidden states of tokens."""

    def forward(self, x: Tensor, scores: Tensor | None = None) -> Tensor:
        """Apply it to ``x``, shape ``(N, L, D)``, with ``scores`` of shape ``(N, L)`` or None."""
        return hidden_cut(x, self.rate, training=self.training, scores=scores, site=self.site)


register(
    Variant(
        name="hidden_cut",
        family="attention and tokens",
        kind="op",
        op=hidden_cut,
        module=HiddenCut,
        paper='Chen et al., "HiddenCut: Simple Data Augmentation for Natural Language Understanding with Better '
        'Generalizability", ACL 2021, arXiv:2106.00149',
        year=2021,
        law="one contiguous span of each sequence, the share rate of its tokens, is 0; the others keep their values",
        at=("hidden", "residual"),
        default_rate=0.1,
        samples=True,
        example=lambda: (HiddenCut(0.5), torch.ones(16, 7, 3)),
    )
)
