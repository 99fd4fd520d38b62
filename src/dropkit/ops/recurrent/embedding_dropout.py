"""Embedding dropout: drop whole words of the vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def embedding_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero whole rows of an embedding matrix: a dropped word is gone wherever it occurs in the batch.

    Row ``x[v]`` becomes ``x[v] / (1 - rate)`` with probability ``1 - rate``, else 0, so ``E[y] = x`` and
    ``Var[y] = x**2 * rate / (1 - rate)``. The mask belongs to the vocabulary, not to the rows of a batch: it is the
    same for every chunk of one.

    Args:
        x: Embedding matrix, shape ``(V, D)``, floating point. Never modified.
        rate: Probability (dimensionless, per word) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped rows are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` is no matrix.
        DtypeError: ``x`` is not floating point.

    Reference:
        Gal & Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", NeurIPS
        2016, sec. 4.2, arXiv:1512.05287; Merity et al., "Regularizing and Optimizing LSTM Language Models", ICLR
        2018, sec. 4.3, arXiv:1708.02182. *Departures*: none.
    """
    used = check_input("embedding_dropout", x, rate, 2, "(V, D) of an embedding matrix", training=training)
    if not training:
        return x
    return drop(x, used, (x.shape[0], 1), generator=generator, site=site, batched=False)
