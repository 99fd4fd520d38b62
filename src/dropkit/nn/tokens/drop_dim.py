"""DropDim as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_dim
from dropkit.ops.rate import Rate
from dropkit.ops.tokens.drop_dim import Choice, check_choice


class DropDim(RateModule):
    """Module form of :func:`dropkit.ops.drop_dim`, for embedded tokens.

    Args:
        rate: Probability of dropping a dimension of a sequence, in ``[0, 1]``.
        choice: ``"random"``: each dimension by its own coin. ``"span"``: neighbours together.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate, choice: Choice = "random", *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        check_choice(choice)
        self.choice: Choice = choice

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, L, D)``."""
        return drop_dim(x, self.rate, training=self.training, choice=self.choice, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + ("" if self.choice == "random" else f", choice={self.choice!r}")


register(
    Variant(
        name="drop_dim",
        family="attention and tokens",
        kind="op",
        op=drop_dim,
        module=DropDim,
        paper='Zhang et al., "DropDim: A Regularization Method for Transformer Networks", IEEE Signal Processing '
        "Letters 29, 2022, arXiv:2304.10321",
        year=2022,
        law="each embedding dimension of a sequence is 0 for all tokens with probability rate, by its own coin or in a "
        "span, else x / (1 - rate); variance x^2 rate / (1 - rate)",
        at=("embedding", "attention", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (DropDim(0.5), torch.ones(16, 3, 6)),
    )
)
