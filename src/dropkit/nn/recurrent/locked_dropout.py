"""Locked dropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import locked_dropout
from dropkit.ops.rate import Rate


class LockedDropout(RateModule):
    """Module form of :func:`dropkit.ops.locked_dropout`, for sequences.

    Args:
        rate: Probability of dropping a feature of a sequence, in ``[0, 1]``.
        batch_first: Whether the batch axis comes before that of time.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate, batch_first: bool = True, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, L, C)``, or ``(L, N, C)`` where the batch is not first."""
        return locked_dropout(
            x, self.rate, training=self.training, batch_first=self.batch_first, site=self.site
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + ("" if self.batch_first else ", batch_first=False")


register(
    Variant(
        name="locked_dropout",
        family="recurrent",
        kind="op",
        op=locked_dropout,
        module=LockedDropout,
        paper='Gal & Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", '
        "NeurIPS 2016, arXiv:1512.05287; Merity et al., ICLR 2018, arXiv:1708.02182",
        year=2016,
        law="each feature of a sequence is 0 at all steps with probability rate, else x / (1 - rate); variance "
        "x^2 rate / (1 - rate)",
        at=("recurrent", "embedding", "hidden"),
        default_rate=0.3,
        samples=True,
        example=lambda: (LockedDropout(0.5), torch.ones(16, 5, 4)),
    )
)
