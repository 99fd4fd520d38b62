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
from dropkit.ops.law import Form, Law
from dropkit.random import Key
from dropkit.random.packed import Packed, packed


def masked(x: Tensor, law: Law, shape: Sequence[int] | None, key: Key) -> Tensor:
    """Return the output of ``law`` under the mask of ``key``; see :func:`dropkit.ops.masked.masked`."""
    numbers = packed(key, x.shape if shape is None else shape, x.device)
    if torch.compiler.is_compiling():
        return _operator(x, law, x.shape if shape is None else shape, numbers)
    return _differentiable(x, law, shape, numbers)


def _differentiable(x: Tensor, law: Law, shape: Sequence[int] | None, key: Packed) -> Tensor:
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
    numbers = (law.threshold, law.scale)
    if law.form == Form.SELECT:
        select = operators.select.default if isinstance(key, Tensor) else operators.select.words
        output: Tensor = select(x, key, *numbers, shape)
    else:
        affine = operators.affine.default if isinstance(key, Tensor) else operators.affine.words
        output = affine(x, key, *numbers, law.shift, law.dropped, shape)
    return output


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, key: Packed, law: Law, shape: Sequence[int] | None) -> Tensor:
        return _compute(x, law, shape, key)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, key, law, shape = inputs
        if isinstance(key, Tensor):
            ctx.save_for_backward(key)
            ctx.save_for_forward(key)
            key = None
        ctx.rest = law.derivative(), shape, key

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _again(ctx, gradient), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return _again(ctx, tangent)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], x: Tensor, key: Packed, law: Law, shape: Sequence[int] | None
    ) -> tuple[Tensor, int]:
        if shape is None:
            shape = x.shape if in_dims[0] is None else x.movedim(in_dims[0], 0).shape[1:]
        x, key, shape = batched(info.batch_size, in_dims, x, key, shape)
        return _Masked.apply(x, key, law, shape), 0  # type: ignore[no-untyped-call]


def _again(ctx: Any, x: Tensor) -> Tensor:
    law, shape, key = ctx.rest
    return _differentiable(x, law, shape, ctx.saved_tensors[0] if key is None else key)


# torch.autograd.Function.apply binds its arguments to the signature of forward() in Python, which takes as long
# as the kernel on a small tensor; this is what it calls then.
_apply = super(torch.autograd.Function, _Masked).apply
