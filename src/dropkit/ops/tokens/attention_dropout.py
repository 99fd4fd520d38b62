"""Attention dropout: drop single attention probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def attention_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero single attention probabilities, after the softmax, and rescale the others.

    Each probability ``p`` becomes ``p / (1 - rate)`` with probability ``1 - rate``, else 0, so ``E[y] = p`` and
    ``Var[y] = p**2 * rate / (1 - rate)``. Rows no longer sum to 1; their sum has mean 1.
    :func:`dropkit.ops.attention` is the whole of attention with this inside.

    Args:
        x: Attention probabilities, shape ``(*, L, S)``, floating point. Never modified.
        rate: Probability (dimensionless, per query and key) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped probabilities are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has fewer than two axes.
        DtypeError: ``x`` is not floating point.

    Reference:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, arXiv:1706.03762, in their published code; Zehui et
        al., "DropAttention", arXiv:1907.11065, study it as DropAttention(e). *Departures*: none.
    """
    used = check_input("attention_dropout", x, rate, training=training)
    if x.ndim < 2:
        raise ShapeError(f"attention_dropout needs shape (*, L, S), got {tuple(x.shape)}")
    return drop(x, used, None, generator=generator, site=site) if training else x
