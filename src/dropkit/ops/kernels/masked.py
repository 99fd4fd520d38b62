"""Masked elementwise forms on the native kernels: differentiable any number of times, forward too, and by vmap.

An output is linear in its input, up to a constant, so a gradient or a tangent is the same kernel again under the
same key. Nothing is kept for backward but that key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dropkit.ops.kernels import direct, loading
from dropkit.ops.kernels.operators import batched
from dropkit.ops.law import Form, Law, selecting
from dropkit.random import Key
from dropkit.random.packed import Packed, packed


def masked(x: Tensor, law: Law, shape: Sequence[int] | None, key: Key) -> Tensor:
    """Return the output of ``law`` under the mask of ``key``; see :func:`dropkit.ops.masked.masked`."""
    numbers = packed(key, x.shape if shape is None else shape, x.device)
    if torch.compiler.is_compiling():
        return _operator(x, law, x.shape if shape is None else shape, numbers)
    return by_packed(x, law, shape, numbers)


def by_packed(x: Tensor, law: Law, shape: Sequence[int] | None, key: Packed) -> Tensor:
    """Return the output of ``law`` under the mask of a packed key; ``shape`` None: that of ``x``."""
    if torch._C._functorch.maybe_current_level() is not None:
        result: Tensor = _Masked.apply(x, key, law, shape)  # type: ignore[no-untyped-call]
        return result
    if (torch.is_grad_enabled() and x.requires_grad) or forward_ad._current_level >= 0:
        return _apply(x, key, law, shape)  # type: ignore[no-any-return, no-untyped-call]
    return _compute(x, law, shape, key)


def _compute(x: Tensor, law: Law, shape: Sequence[int] | None, key: Packed) -> Tensor:
    """Run the kernel, below autograd and transforms."""
    if shape is None and type(key) is tuple and (address := direct.address(x)) is not None:
        out = torch.empty_like(x)
        loading.native.dense(  # type: ignore[union-attr]
            law.form,
            direct.DTYPES[x.dtype],
            address,
            out.data_ptr(),
            x.numel(),
            key,
            law.threshold,
            law.scale,
            law.shift,
            law.dropped,
        )
        return out
    return _operator(x, law, x.shape if shape is None else shape, key)


def _operator(x: Tensor, law: Law, shape: Sequence[int], key: Packed) -> Tensor:
    operators = torch.ops.dropkit_native
    select = law.form == Form.SELECT
    if isinstance(key, Tensor):
        output: Tensor = (operators.select if select else operators.affine).default(
            x, key, law.tensor(), shape
        )
    elif select:
        output = operators.select.words(x, key, law.threshold, law.scale, shape)
    else:
        output = operators.affine.words(x, key, law.threshold, law.scale, law.shift, law.dropped, shape)
    return output


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, key: Packed, law: Law, shape: Sequence[int] | None) -> Tensor:
        return _compute(x, law, shape, key)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        keep_key(ctx, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return again(ctx, gradient), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return again(ctx, tangent)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], x: Tensor, key: Packed, law: Law, shape: Sequence[int] | None
    ) -> tuple[Tensor, int]:
        if shape is None:
            shape = x.shape if in_dims[0] is None else x.movedim(in_dims[0], 0).shape[1:]
        x, key, shape = batched(info.batch_size, in_dims, x, key, shape)
        return _Masked.apply(x, key, law, shape), 0  # type: ignore[no-untyped-call]


def keep_key(ctx: Any, key: Packed, law: Law, shape: Sequence[int] | None, *tensors: Tensor) -> None:
    """Keep in ``ctx`` what :func:`again` needs, 16 bytes where the key has no tensors, and ``tensors`` before it."""
    saved = (*tensors, key) if isinstance(key, Tensor) else tensors
    if saved:
        ctx.save_for_backward(*saved)
        ctx.save_for_forward(*saved)
    ctx.rest = law.derivative(), shape, None if isinstance(key, Tensor) else key


def kept_key(ctx: Any) -> tuple[Law, Sequence[int] | None, Packed]:
    """Return the law of the derivative, the mask's shape and the key that were kept."""
    law, shape, key = ctx.rest
    return law, shape, ctx.saved_tensors[-1] if key is None else key


def again(ctx: Any, x: Tensor, *, scaled: bool = True) -> Tensor:
    """Return a gradient or tangent: ``x`` under the mask that was kept."""
    law, shape, key = kept_key(ctx)
    return by_packed(x, law if scaled else selecting(law.rate, 1.0), shape, key)


# torch.autograd.Function.apply binds its arguments to the signature of forward() in Python, which takes as long
# as the kernel on a small tensor; this is what it calls then.
_apply = super(torch.autograd.Function, _Masked).apply
