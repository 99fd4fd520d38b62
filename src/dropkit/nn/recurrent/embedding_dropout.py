"""Embedding dropout around an unmodified ``nn.Embedding``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import ModuleError, Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import embedding_dropout
from dropkit.ops.draws import draw_keep
from dropkit.ops.drop import scale_of
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.ops.reference import select


class EmbeddingDropout(RateModule):
    """An embedding that forgets whole words, wherever they stand in the batch; see the op of this name.

    The output is that of looking tokens up in ``embedding_dropout(embedding.weight, rate)``, without the cost of
    masking the whole matrix; all options of the embedding work as without the wrapper.

    Args:
        embedding: An ``nn.Embedding``; it stays as it is, and is found under the attribute ``embedding``.
        rate: Probability of dropping a word, in ``[0, 1]``.
        site: Name under which an active stream counts its calls.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ModuleError: ``embedding`` is something else.
    """

    def __init__(self, embedding: nn.Embedding, rate: Rate, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        if not isinstance(embedding, nn.Embedding):
            raise ModuleError(f"EmbeddingDropout needs an nn.Embedding, got {type(embedding).__name__}")
        self.embedding = embedding

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the embedded ``tokens``, shape ``(*, D)``, some words of the vocabulary being zero."""
        x: Tensor = self.embedding(tokens)
        if not self.training:
            return x
        rate = resolve_rate(self.rate)
        words = (self.embedding.num_embeddings, 1)
        keep = draw_keep(words, rate, x.device, generator=None, site=self.site, batched=False)
        scale = scale_of(rate, x)
        if isinstance(scale, Tensor) and scale.ndim > 0:  # a rate for each word
            scale = scale.expand(words)[tokens]
        return select(x, keep[tokens], scale)


register(
    Variant(
        name="embedding_dropout",
        family="recurrent",
        kind="wrapper",
        op=embedding_dropout,
        module=EmbeddingDropout,
        paper='Gal & Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", '
        "NeurIPS 2016, arXiv:1512.05287; Merity et al., ICLR 2018, arXiv:1708.02182",
        year=2016,
        law="each row of the embedding matrix is 0 for the whole batch with probability rate, else x / (1 - rate); "
        "variance x^2 rate / (1 - rate)",
        at=("embedding", "weights"),
        default_rate=0.1,
        samples=True,
        example=lambda: (
            EmbeddingDropout(nn.Embedding(12, 3), 0.5),
            torch.arange(24).view(4, 6) % 12,
        ),
    )
)
