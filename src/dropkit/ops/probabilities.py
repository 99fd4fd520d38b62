"""Attention probabilities in plain torch operations: differentiable any number of times, on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def probabilities(q: Tensor, k: Tensor, mask: Tensor | None, is_causal: bool, scale: float) -> Tensor:
    """Return ``softmax(q k^T * scale + mask)`` over the last axis, in fp32, or in fp64 for fp64.

    A row in which nothing may be attended to is zero, as PyTorch's scaled dot-product attention has it.

    Args:
        q: Queries, shape ``(*, L, E)``.
        k: Keys, shape ``(*, S, E)``.
        mask: Broadcasts to ``(*, L, S)``; boolean, True = may be attended to, or floating point, added; or None.
        is_causal: Whether row ``l`` may attend to columns up to ``l`` only.
        scale: Factor of the products.

    Returns:
        Shape ``(*, L, S)``.
    """
    return normalised(scores(q, k, mask, is_causal, scale))


def scores(q: Tensor, k: Tensor, mask: Tensor | None, is_causal: bool, scale: float) -> Tensor:
    """Return ``q k^T * scale + mask``, -inf where nothing may be attended to; see :func:`probabilities`."""
    wide = torch.float64 if q.dtype == torch.float64 else torch.float32
    products = (q.to(wide) * scale) @ k.to(wide).transpose(-2, -1)
    if is_causal:
        mask = torch.ones(products.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is None:
        return products
    return torch.where(mask, products, -torch.inf) if mask.dtype == torch.bool else products + mask.to(wide)


def normalised(scores: Tensor) -> Tensor:
    """Return the softmax over the last axis, zero for a row of -inf."""
    if scores.shape[-1] == 0:
        return scores
    nothing = scores.amax(-1, keepdim=True) == -torch.inf
    # Twice, since a softmax of nothing is NaN, and NaN times a gradient of zero is NaN.
    return torch.where(nothing, 0.0, torch.where(nothing, 0.0, scores).softmax(-1))
