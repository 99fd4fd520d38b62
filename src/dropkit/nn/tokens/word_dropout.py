"""Word dropout as a module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import word_dropout
from dropkit.ops.rate import Rate
from dropkit.ops.tokens.word_dropout import check_tokens


class WordDropout(RateModule):
    """Module form of :func:`dropkit.ops.word_dropout`, to stand before an embedding.

    Args:
        rate: Probability of replacing a token, in ``[0, 1]``.
        unknown: Number of the token that stands for an unknown word.
        spared: Numbers of tokens that are never replaced.
        site: Name under which an active stream counts its calls.
    """

    def __init__(
        self, rate: Rate, unknown: int, spared: Sequence[int] = (), *, site: str | None = None
    ) -> None:
        super().__init__(rate, site=site)
        check_tokens(unknown, spared)
        self.unknown, self.spared = unknown, tuple(spared)

    def forward(self, tokens: Tensor) -> Tensor:
        """Apply it to ``tokens``, shape ``(N, *)``."""
        return word_dropout(
            tokens,
            self.rate,
            training=self.training,
            unknown=self.unknown,
            spared=self.spared,
            site=self.site,
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        spared = f", spared={self.spared}" if self.spared else ""
        return f"{super().extra_repr()}, unknown={self.unknown}{spared}"


register(
    Variant(
        name="word_dropout",
        family="attention and tokens",
        kind="module",
        op=word_dropout,
        module=WordDropout,
        paper='Bowman et al., "Generating Sentences from a Continuous Space", CoNLL 2016, arXiv:1511.06349',
        year=2016,
        law="each token's number is replaced by that of the unknown word with probability rate",
        at=("input",),
        default_rate=0.1,
        samples=True,
        example=lambda: (WordDropout(0.5, unknown=0), torch.arange(64).view(8, 8) % 9),
    )
)
