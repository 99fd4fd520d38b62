"""DropKey: drop keys before the softmax, so that attention still sums to one."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input

_GONE = -32768.0  # exact and finite in every dtype: no cast of the scores can change it


def drop_key(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Hide keys from queries: put -32768 in place of attention scores before the softmax.

    Each score is dropped with probability ``rate``, else it stays as it is. After the softmax a dropped key has
    exactly probability 0 and the kept ones of its row sum to 1: with weights ``w = exp(x)`` and coins ``k`` that are 1
    with probability ``1 - rate``, ``p[l, s] = k[l, s] w[l, s] / sum_t k[l, t] w[l, t]``. A query that has lost all
    its keys attends to all of them alike. (Scores are taken to be far above -32768.)

    Args:
        x: Attention scores, shape ``(*, L, S)``, floating point. What is lower than -32768, where a mask
            forbids a key, stays so. Never modified.
        rate: Probability (dimensionless, per query and key) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped scores are -32768.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has fewer than two axes.
        DtypeError: ``x`` is not floating point.

    Reference:
        Li et al., "DropKey for Vision Transformer", CVPR 2023, arXiv:2208.02646, which also lets the rate fall from
        layer to layer. *Departures*: the score is replaced (theirs: -1e12 is added, which comes to the same in
        fp32 and overflows in fp16).
    """
    used = check_input("drop_key", x, rate, training=training)
    if x.ndim < 2:
        raise ShapeError(f"drop_key needs shape (*, L, S), got {tuple(x.shape)}")
    if not training:
        return x
    keep = draw_keep(x.shape, used, x.device, generator=generator, site=site)
    if not isinstance(used, Tensor) and used == 0.0:
        return x
    return torch.where(keep | (x <= _GONE), x, _GONE)
