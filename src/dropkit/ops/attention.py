"""Scaled dot-product attention with dropout on the attention probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import zip_longest
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dropkit.core import DtypeError, InputError, ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.kernels import attention as native
from dropkit.ops.law import selecting
from dropkit.ops.probabilities import normalised, probabilities, scores
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, keep_scale
from dropkit.random import mask_shape, next_key, skip_key

_META = "meta"  # tensors that are shapes only, for which there is no autocast


class MaskError(InputError, ValueError, RuntimeError):
    """Two things say which keys a query may attend to; also a ``RuntimeError``, which is what PyTorch raises."""


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    is_causal: bool = False,
    rate: Rate,
    training: bool,
    scale: float | None = None,
    enable_gqa: bool = False,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Attend to ``v`` with probabilities of which each is dropped with probability ``rate``.

    ``y = dropout(P) v`` with ``P = softmax(q k^T * scale + mask)``: each of the ``(*, L, S)`` elements of ``P``
    becomes ``P / (1 - rate)`` with probability ``1 - rate``, else 0, so ``E[y] = P v`` and
    ``Var[y] = P**2 v**2 * rate / (1 - rate)``. All but the source of the coins is as in PyTorch's
    ``scaled_dot_product_attention``, which computes where nothing is dropped.

    Args:
        q: Queries, shape ``(*, H, L, E)`` or any with at least two axes, floating point. Never modified.
        k: Keys, shape ``(*, H, S, E)``; axes before the last two broadcast.
        v: Values, shape ``(*, H, S, Ev)``.
        mask: Broadcasts to the probabilities, ``(*, H, L, S)``. Boolean: True = may be attended to. Floating point,
            of fp32 or the dtype of ``q``: added to the scores. A row in which all is masked gives 0.
        is_causal: Whether query ``l`` may attend to keys ``0 ... l`` only; ``mask`` must then be None.
        rate: Probability (dimensionless, per attention probability) of *dropping*, in ``[0, 1]``.
        training: Whether to drop. If false no random number is drawn.
        scale: Factor of the scores. None: ``E**-0.5``.
        enable_gqa: Whether groups of query heads share a head of keys and values: the third axis from the right
            of ``q`` may then be a multiple of that of ``k`` and ``v``.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Shape ``(*, H, L, Ev)``, the dtype of ``q``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: The shapes do not fit together.
        DtypeError: ``q``, ``k``, ``v`` are not of one floating-point dtype, or that of the mask is not legal.
        MaskError: ``mask`` is given together with ``is_causal``.

    Reference:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, eq. 1, arXiv:1706.03762; dropout on the
        probabilities is that of their published code. *Departures*: none.
    """
    used = check_input("attention", q, rate, training=training)
    lead = _check(q, k, v, mask, is_causal, enable_gqa)
    if not training or (isinstance(used, float) and used == 0.0):
        if training:
            skip_key(site, generator)
        if mask is not None and mask.ndim < 2:  # on which PyTorch's quickest kernel fails
            mask = mask.reshape(1, -1)
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if scale is None:
        scale = q.shape[-1] ** -0.5 if q.shape[-1] else 1.0
    q, k, v, mask = _autocast(q, k, v, mask)
    with _no_autocast(q.device.type):
        heads = k.shape[-3] if enable_gqa else lead[-1] if lead else 1
        if enable_gqa and v.shape[-3] != heads:
            k, v, heads = *(_repeated(x, lead[-1]) for x in (k, v)), lead[-1]
        if isinstance(used, float) and used < 1.0 and native.can_take(q, k, v, mask, lead):
            coins = mask_shape((*lead, q.shape[-2], k.shape[-2]), site, generator)
            if tuple(coins[1:]) == (*lead[1:], q.shape[-2], k.shape[-2]):
                rule = native.Rule(scale, is_causal, selecting(used, keep_scale(used)))
                key = next_key(site, generator, q.device)
                return native.attended(q, k, v, mask, rule, lead, heads, coins, key)
        if enable_gqa:
            k, v = (_repeated(x, lead[-1]) for x in (k, v))
        p = probabilities(q, k, mask, is_causal, scale)
        return (drop(p, used, None, generator=generator, site=site) @ v.to(p.dtype)).to(q.dtype)


def attention_through(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
    on_scores: Callable[[Tensor], Tensor] | None = None,
    on_probabilities: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Attend as :func:`attention` does, with any function of the scores or of the probabilities on the way.

    Args:
        q: Queries, shape ``(*, H, L, E)``.
        k: Keys, shape ``(*, H, S, E)``.
        v: Values, shape ``(*, H, S, Ev)``.
        mask: As in :func:`attention`.
        is_causal: As in :func:`attention`.
        scale: As in :func:`attention`.
        enable_gqa: As in :func:`attention`.
        on_scores: Makes other scores of scores, shape ``(*, H, L, S)``, in fp32, or in fp64 for fp64.
        on_probabilities: Makes other probabilities of probabilities, likewise.
    """
    lead = _check(q, k, v, mask, is_causal, enable_gqa)
    if scale is None:
        scale = q.shape[-1] ** -0.5 if q.shape[-1] else 1.0
    q, k, v, mask = _autocast(q, k, v, mask)
    with _no_autocast(q.device.type):
        if enable_gqa:
            k, v = (_repeated(x, lead[-1]) for x in (k, v))
        s = scores(q, k, mask, is_causal, scale)
        p = normalised(s if on_scores is None else on_scores(s))
        return ((p if on_probabilities is None else on_probabilities(p)) @ v.to(p.dtype)).to(q.dtype)


def _repeated(x: Tensor, heads: int) -> Tensor:
    return x.repeat_interleave(heads // x.shape[-3], -3)


def _autocast(*tensors: Any) -> tuple[Any, ...]:
    """Cast what PyTorch casts before attention under ``torch.autocast``."""
    device = tensors[0].device.type
    if device == _META or not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(
        x.to(dtype) if x is not None and x.is_floating_point() and x.dtype != torch.float64 else x
        for x in tensors
    )


def _no_autocast(device: str) -> AbstractContextManager[Any]:
    return nullcontext() if device == _META else torch.autocast(device, enabled=False)


def _check(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, is_causal: bool, enable_gqa: bool
) -> tuple[int, ...]:
    """Refuse what does not fit together; return the axes of the probabilities before the last two."""
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ShapeError(f"attention needs q (*, L, E), k (*, S, E), v (*, S, Ev), got {shapes}")
    if not q.dtype == k.dtype == v.dtype:
        raise DtypeError(f"attention needs q, k, v of one dtype, got {q.dtype}, {k.dtype}, {v.dtype}")
    if q.shape[-1] != k.shape[-1]:
        raise ShapeError(f"attention needs q and k of one length in their last axis, got {shapes}")
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(f"attention needs k and v of one length in their last axis but one, got {shapes}")
    heads: list[Sequence[int]] = [x.shape[:-2] for x in (q, k, v)]
    if enable_gqa:
        if min(q.ndim, k.ndim, v.ndim) < 3:
            raise ShapeError(f"enable_gqa needs an axis of heads, shape (*, H, L, E), got {shapes}")
        if any(n[-1] == 0 or q.shape[-3] % n[-1] for n in heads[1:]):
            raise ShapeError(
                f"enable_gqa needs a number of query heads that k's and v's divide, got {shapes}"
            )
        heads = [(*n[:-1], q.shape[-3]) for n in heads]
    batch = _joined(heads[0], heads[1])
    if batch is None or _joined(batch, heads[2]) is None:
        hint = "" if enable_gqa else "; enable_gqa=True lets query heads share keys"
        raise ShapeError(f"the axes of q, k, v before the last two do not broadcast, got {shapes}{hint}")
    rows = (*batch, q.shape[-2], k.shape[-2])
    if mask is None:
        return batch
    if is_causal:
        raise MaskError(
            "mask must be None where is_causal=True; put the causal triangle into the mask instead"
        )
    if mask.dtype not in (torch.bool, torch.float32, q.dtype):
        raise DtypeError(f"mask must be boolean, fp32 or of the dtype of q ({q.dtype}), got {mask.dtype}")
    if _joined(mask.shape, rows) != rows:
        raise ShapeError(f"mask must broadcast to the probabilities {rows}, got {tuple(mask.shape)}")
    return batch


def _joined(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    """Return the shape that both broadcast to, or None."""
    pairs = list(zip_longest(reversed(a), reversed(b), fillvalue=1))
    if any(m != n and 1 not in (m, n) for m, n in pairs):
        return None
    return tuple(n if m == 1 else m for m, n in reversed(pairs))
