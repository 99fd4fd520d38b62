"""DropHead as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_head
from dropkit.ops.rate import Rate
from dropkit.ops.tokens.drop_head import check_heads


class DropHead(RateModule):
    """Module form of :func:`dropkit.ops.drop_head`, for what attention heads return.

    Args:
        rate: Probability of dropping a head of a sample, in ``[0, 1]``.
        heads: Number of heads that the last axis holds one after another. None: the second axis counts heads.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate, heads: int | None = None, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        check_heads(heads)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, H, *)``, or ``(N, *, H * D)`` where ``heads`` is given."""
        return drop_head(x, self.rate, training=self.training, heads=self.heads, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + ("" if self.heads is None else f", heads={self.heads}")


register(
    Variant(
        name="drop_head",
        family="attention and tokens",
        kind="op",
        op=drop_head,
        module=DropHead,
        paper='Zhou et al., "Scheduled DropHead: A Regularization Method for Transformer Models", Findings of EMNLP '
        "2020, arXiv:2004.13342",
        year=2020,
        law="each of the H heads of a sample is 0 with probability rate, else x H / k if k are left; mean "
        "x (1 - rate^H), variance given k x^2 (H / k - 1)",
        at=("attention",),
        default_rate=0.2,
        samples=True,
        example=lambda: (DropHead(0.5), torch.ones(16, 4, 3, 2)),
    )
)
