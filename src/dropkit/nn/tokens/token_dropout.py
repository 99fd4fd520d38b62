"""Token dropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import token_dropout
from dropkit.ops.rate import Rate
from dropkit.ops.tokens.token_dropout import check_options


class TokenDropout(RateModule):
    """Module form of :func:`dropkit.ops.token_dropout`, for embedded tokens.

    Args:
        rate: Probability of dropping a token, in ``[0, 1]``.
        spare: Number of leading tokens that are never dropped.
        untouched: Probability of leaving a whole sequence as it is, in ``[0, 1]``.
        site: Name under which an active stream counts its calls.
    """

    def __init__(
        self, rate: Rate, spare: int = 0, untouched: float = 0.0, *, site: str | None = None
    ) -> None:
        super().__init__(rate, site=site)
        check_options(spare, untouched)
        self.spare, self.untouched = spare, untouched

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, L, D)``."""
        return token_dropout(
            x,
            self.rate,
            training=self.training,
            spare=self.spare,
            untouched=self.untouched,
            site=self.site,
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        spare = f", spare={self.spare}" if self.spare else ""
        untouched = f", untouched={self.untouched:g}" if self.untouched else ""
        return super().extra_repr() + spare + untouched


register(
    Variant(
        name="token_dropout",
        family="attention and tokens",
        kind="op",
        op=token_dropout,
        module=TokenDropout,
        paper='Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text Classification", ACL 2015, '
        "doi:10.3115/v1/P15-1162",
        year=2015,
        law="each token is 0 with probability rate, else x / (1 - rate); variance x^2 rate / (1 - rate)",
        at=("embedding", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (TokenDropout(0.5), torch.ones(16, 6, 3)),
    )
)
