"""Attention with dropout on the native kernels: differentiable any number of times, forward too, and by vmap.

The kernel keeps no probability and no mask: what is saved for backward are the inputs, the output, one fp32 number a
row, and the key. First derivatives are a kernel; tangents and derivatives of higher order are plain torch operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dropkit.ops.kernels import attention_operators as operators
from dropkit.ops.kernels import direct
from dropkit.ops.kernels.masked import by_packed
from dropkit.ops.law import Law
from dropkit.ops.probabilities import probabilities
from dropkit.random import Key
from dropkit.random.packed import packed


class Rule(NamedTuple):
    """How probabilities come from queries and keys, and what happens to them."""

    scale: float
    is_causal: bool
    law: Law


def can_take(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, lead: Sequence[int]) -> bool:
    """Whether the kernels can compute this; ``lead``: the axes of the probabilities before the last two."""
    if q.dtype == torch.float64 or not all(direct.can_take(x) for x in (q, k, v)):
        return False
    if mask is not None and not (mask.dtype == torch.bool or direct.can_take(mask)):
        return False
    # Values with a batch that the probabilities do not have share coins over it, which the kernel cannot know of.
    shares = v.ndim - 2 > len(lead) or any(
        n > m for n, m in zip(reversed(v.shape[:-2]), reversed(lead), strict=False)
    )
    return len(lead) > 0 and not shares and min(q.numel(), k.numel(), v.numel()) > 0


def attended(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    rule: Rule,
    lead: Sequence[int],
    heads: int,
    coins: Sequence[int],
    key: Key,
) -> Tensor:
    """Return ``dropout(softmax(q k^T * scale + mask)) v``.

    Args:
        q: Queries, which broadcast to ``(*lead, L, E)``.
        k: Keys, which broadcast to ``(*lead[:-1], heads, S, E)``.
        v: Values, which broadcast likewise.
        mask: Broadcasts to ``(*lead, L, S)``; or None.
        rule: What to do.
        lead: Axes of the probabilities before the last two, at least one.
        heads: Divides ``lead[-1]``: query heads side by side share one head of keys.
        coins: Shape of the mask: that of the probabilities, or 1 in place of its first length.
        key: Key of the call.
    """
    numbers = packed(key, coins, q.device)
    if not isinstance(numbers, Tensor):
        numbers = torch.tensor(numbers)
    if coins[0] != lead[0]:
        numbers = numbers.expand(lead[0], 5)  # each sample counts its elements from the same number on
    q = _four(q.expand(*lead, -1, -1))
    k, v = (_four(x.expand(*lead[:-1], heads, -1, -1)) for x in (k, v))
    if mask is not None:
        mask = mask[(None,) * (len(lead) + 2 - mask.ndim)]
        mask = _four(mask if len(lead) < 3 else mask.expand(*lead, -1, -1))
    out = _differentiable(q, k, v, mask, numbers, rule)
    return out.squeeze(1) if len(lead) == 1 else out.view(*lead, *out.shape[2:])


def _four(x: Tensor) -> Tensor:
    """Return ``x`` with four axes."""
    return x.unsqueeze(1) if x.ndim == 3 else x.flatten(0, -4)


def _differentiable(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, key: Tensor, rule: Rule) -> Tensor:
    if torch.compiler.is_compiling() or not _is_watched((q, k, v, mask)):
        return _compute(q, k, v, mask, key, rule)[0]
    out: Tensor = _Attended.apply(q, k, v, mask, key, rule)[0]  # type: ignore[no-untyped-call]
    return out


def _is_watched(inputs: Sequence[Tensor | None]) -> bool:
    return (
        torch._C._functorch.maybe_current_level() is not None
        or forward_ad._current_level >= 0
        or (torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs))
    )


def _compute(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, key: Tensor, rule: Rule
) -> tuple[Tensor, Tensor]:
    law = rule.law.tensor()
    outputs: tuple[Tensor, Tensor] = operators.OPERATORS.attention(
        q, k, v, mask, key, law, rule.scale, rule.is_causal
    )
    return outputs


class _Attended(torch.autograd.Function):
    @staticmethod
    def forward(
        q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, key: Tensor, rule: Rule
    ) -> tuple[Tensor, Tensor]:
        return _compute(q, k, v, mask, key, rule)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.rule = inputs
        ctx.save_for_backward(*tensors, *output)
        ctx.save_for_forward(*tensors)
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return (None,) * 6
        q, k, v, mask, key, *outputs = ctx.saved_tensors
        if _is_watched((gradient, q, k, v, mask)):
            slopes = _gradients(gradient, q, k, v, mask, key, ctx.rule)
        else:
            rule, of_mask = ctx.rule, ctx.needs_input_grad[3]
            saved = (q, k, v, key, rule.law.tensor(), *outputs)
            slopes = operators.gradients(gradient, saved, mask, rule.scale, rule.is_causal, of_mask)
        return *slopes, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, None]:
        return _tangent(tangents[:4], ctx.saved_tensors[:5], ctx.rule), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[tuple[Tensor, ...], tuple[int, int]]:
        *tensors, rule = inputs
        outputs = _Attended.apply(*operators.fold(info.batch_size, in_dims, *tensors), rule)  # type: ignore[no-untyped-call]
        return tuple(x.view(info.batch_size, -1, *x.shape[1:]) for x in outputs), (0, 0)


def _gradients(
    gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, key: Tensor, rule: Rule
) -> tuple[Tensor | None, ...]:
    """Return what the kernel would, in operations that can be differentiated again."""
    g, wide_q, wide_k, wide_v = (x.float() for x in (gradient, q, k, v))
    wide_k, wide_v = (_repeated(x, q) for x in (wide_k, wide_v))
    p = probabilities(wide_q, wide_k, mask, rule.is_causal, rule.scale)
    slope = p * _centred(_dropped(g @ wide_v.mT, key, rule.law), p)
    dv = _dropped(p, key, rule.law).mT @ g
    dq, dk = slope @ wide_k * rule.scale, slope.mT @ wide_q * rule.scale
    dk, dv = (x.view(x.shape[0], k.shape[1], -1, *x.shape[2:]).sum(2) for x in (dk, dv))
    has_slope = mask is not None and mask.dtype != torch.bool
    of_mask = slope.sum_to_size(mask.shape).to(mask.dtype) if mask is not None and has_slope else None
    return dq.to(q.dtype), dk.to(q.dtype), dv.to(q.dtype), of_mask


def _tangent(tangents: tuple[Tensor | None, ...], inputs: tuple[Any, ...], rule: Rule) -> Tensor:
    of_q, of_k, of_v, of_mask = tangents
    q, k, v, mask, key = inputs
    wide_q, wide_k, wide_v = q.float(), _repeated(k.float(), q), _repeated(v.float(), q)
    p = probabilities(wide_q, wide_k, mask, rule.is_causal, rule.scale)
    scores = torch.zeros_like(p)
    if of_q is not None:
        scores = scores + of_q.float() @ wide_k.mT * rule.scale
    if of_k is not None:
        scores = scores + wide_q @ _repeated(of_k.float(), q).mT * rule.scale
    if of_mask is not None:
        scores = scores + of_mask.float()
    out = _dropped(p * _centred(scores, p), key, rule.law) @ wide_v
    if of_v is not None:
        out = out + _dropped(p, key, rule.law) @ _repeated(of_v.float(), q)
    return out.to(q.dtype)


def _centred(slope: Tensor, p: Tensor) -> Tensor:
    return slope - (p * slope).sum(-1, keepdim=True)


def _dropped(p: Tensor, key: Tensor, law: Law) -> Tensor:
    if key.ndim == 1:
        return by_packed(p, law, p.shape, key)
    shared = p.view(key.shape[0], -1, *p.shape[1:])
    return by_packed(shared, law, shared.shape, key).flatten(0, 1)


def _repeated(x: Tensor, q: Tensor) -> Tensor:
    return x.repeat_interleave(q.shape[1] // x.shape[1], 1)
