"""Dropout fused with what stands beside it, on the native kernels.

In eager code an autograd function, in compiled code a registered operator. Derivatives beyond the first, and what
runs under a transform, are the caller's: composed of :func:`dropkit.ops.kernels.masked.masked` and torch's own
operations, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from dropkit.ops.kernels import direct, fused_operators, loading  # noqa: F401  (registers them)
from dropkit.ops.kernels.masked import again, keep_key, kept_key
from dropkit.ops.law import Law
from dropkit.random import Key
from dropkit.random.packed import Packed, packed


class Fused(IntEnum):
    """The native kernels' numbers of the fused forms, after those of :class:`dropkit.ops.law.Form`."""

    RELU = 2  # keep ? max(x, 0) * scale : 0
    RELU_GRADIENT = 3  # output <= 0 ? 0 : gradient * scale
    ADD = 4  # (keep ? x * scale : 0) + residual
    BIAS_ADD = 5  # (keep ? (x + bias) * scale : 0) + residual
    GELU = 6  # keep ? gelu(x) * scale : 0, and so on; the number after each is that of its gradient
    GELU_GRADIENT = 7
    GELU_TANH = 8
    GELU_TANH_GRADIENT = 9
    SILU = 10
    SILU_GRADIENT = 11


def can_take(x: Tensor, *others: Tensor) -> bool:
    """Whether the kernels can compute on all tensors at once: of one dtype, and under no transform."""
    if any(other.dtype != x.dtype for other in others):
        return False
    if torch.compiler.is_compiling():
        return all(direct.can_take(tensor) for tensor in (x, *others))
    return direct.is_plain(x, *others)


def relu(x: Tensor, law: Law, key: Key) -> Tensor:
    """Return ``max(x, 0) * scale`` where kept, else 0. For backward the output is kept, as relu would."""
    numbers = packed(key, x.shape, x.device)
    if _wants_gradient(x):
        return _Relu.apply(x, numbers, law)  # type: ignore[no-any-return, no-untyped-call]
    return _compute(Fused.RELU, (x,), law, numbers)


def activated(x: Tensor, form: Fused, slope: Callable[[Tensor], Tensor], law: Law, key: Key) -> Tensor:
    """Return ``f(x) * scale`` where kept, else 0, for another activation; ``x`` and the key are kept for backward.

    Args:
        x: Input, not fp64.
        form: Which activation.
        slope: Its derivative on fp64, differentiable, for derivatives beyond the first.
        law: Threshold and scale.
        key: Key of the call.
    """
    numbers = packed(key, x.shape, x.device)
    if _wants_gradient(x):
        return _Activated.apply(x, numbers, law, form, slope)  # type: ignore[no-any-return, no-untyped-call]
    return _compute(form, (x,), law, numbers)


def add(x: Tensor, residual: Tensor, law: Law, key: Key) -> Tensor:
    """Return ``residual`` plus ``x * scale`` where kept; only the key is kept for backward."""
    numbers = packed(key, x.shape, x.device)
    if _wants_gradient(x, residual):
        return _Add.apply(x, residual, numbers, law)  # type: ignore[no-any-return, no-untyped-call]
    return _compute(Fused.ADD, (x, residual), law, numbers)


def bias_add(x: Tensor, bias: Tensor, residual: Tensor, law: Law, key: Key) -> Tensor:
    """Return ``residual`` plus ``(x + bias) * scale`` where kept; only the key is kept for backward."""
    numbers = packed(key, x.shape, x.device)
    if _wants_gradient(x, bias, residual):
        return _BiasAdd.apply(x, bias, residual, numbers, law)  # type: ignore[no-any-return, no-untyped-call]
    return _compute(Fused.BIAS_ADD, (x, residual, bias), law, numbers)


def _wants_gradient(*inputs: Tensor) -> bool:
    """Whether an autograd function has to stand around the kernel; a registered operator brings its own."""
    return (
        not torch.compiler.is_compiling() and torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    )


def _compute(form: Fused, operands: tuple[Tensor, ...], law: Law, key: Packed | None) -> Tensor:
    """Run the kernel on operands in its own order, below autograd; ``key`` is None where no bits are needed."""
    x = operands[0]
    if not torch.compiler.is_compiling() and not isinstance(key, Tensor):
        addresses = tuple(direct.address(operand) for operand in operands)
        if None not in addresses:
            out = torch.empty_like(x)
            loading.native.fused(  # type: ignore[union-attr]
                form,
                direct.DTYPES[x.dtype],
                addresses,
                out.data_ptr(),
                x.numel(),
                max(operands[-1].numel(), 1),
                key or (0, 0, 0, 0, 0),
                law.threshold,
                law.scale,
            )
            return out
    operators = torch.ops.dropkit_native
    if form == Fused.RELU_GRADIENT:
        gradient: Tensor = operators.relu_select_backward(*operands, law.tensor())
        return gradient
    words = key if isinstance(key, Tensor) else torch.tensor(key, device="cpu")
    if form == Fused.RELU:
        output: Tensor = operators.relu_select(x, words, law.tensor())
    elif form == Fused.ADD:
        output = operators.select_add(*operands, words, law.tensor())
    elif form == Fused.BIAS_ADD:
        output = operators.bias_select_add(x, operands[2], operands[1], words, law.tensor())
    elif len(operands) == 1:
        output = operators.activation_select(x, form, words, law.tensor())
    else:
        output = operators.activation_select_backward(*operands, form - 1, words, law.tensor())
    return output


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, key: Packed, law: Law) -> Tensor:
        output = _compute(Fused.RELU, (x,), law, key)
        ctx.save_for_backward(output)
        ctx.law = law
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (output,) = ctx.saved_tensors
        if torch.is_grad_enabled() or not can_take(gradient):  # to be differentiated again, or batched
            return torch.where(output <= 0.0, 0.0, gradient * ctx.law.scale), None, None
        return _compute(Fused.RELU_GRADIENT, (gradient, output), ctx.law, None), None, None


class _Activated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, key: Packed, law: Law, form: Fused, slope: Callable[[Tensor], Tensor]
    ) -> Tensor:
        keep_key(ctx, key, law, None, x)
        ctx.kind = form, slope
        return _compute(form, (x,), law, key)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, (form, slope) = ctx.saved_tensors[0], ctx.kind
        if torch.is_grad_enabled() or not can_take(gradient):
            kept, factor = again(ctx, x, scaled=False), again(ctx, gradient.float())
            return (factor.double() * slope(kept.double())).to(x.dtype), None, None, None, None
        law, _, key = kept_key(ctx)
        return _compute(Fused(form + 1), (gradient, x), law, key), None, None, None, None


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, key: Packed, law: Law) -> Tensor:
        keep_key(ctx, key, law, None)
        return _compute(Fused.ADD, (x, residual), law, key)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        return again(ctx, gradient) if ctx.needs_input_grad[0] else None, gradient, None, None


class _BiasAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, residual: Tensor, key: Packed, law: Law) -> Tensor:
        keep_key(ctx, key, law, None)
        return _compute(Fused.BIAS_ADD, (x, residual, bias), law, key)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor, None, None]:
        of_x = again(ctx, gradient) if any(ctx.needs_input_grad[:2]) else None
        of_bias = of_x.sum_to_size(of_x.shape[-1:]) if of_x is not None and ctx.needs_input_grad[1] else None
        return of_x, of_bias, gradient, None, None
