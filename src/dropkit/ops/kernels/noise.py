"""Multiplicative Gaussian noise on the native kernels, in eager code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dropkit.ops import reference
from dropkit.ops.kernels import direct, loading
from dropkit.random import Key
from dropkit.random.packed import packed


def can_take(x: Tensor) -> bool:
    """Whether the kernel can compute on ``x``; the reference alone does fp64, transforms and compiled code."""
    return (
        x.dtype != torch.float64
        and not torch.compiler.is_compiling()
        and torch._C._functorch.maybe_current_level() is None
        and direct.can_take(x)
        and direct.address(x) is not None
    )


def multiplied(x: Tensor, deviation: float, key: Key) -> Tensor:
    """Return ``x * (1 + deviation * z)``, differentiable any number of times; nothing is kept but the key."""
    if (torch.is_grad_enabled() and x.requires_grad) or forward_ad._current_level >= 0:
        return _apply(x, deviation, key)  # type: ignore[no-any-return, no-untyped-call]
    return _compute(x, deviation, key)


def _compute(x: Tensor, deviation: float, key: Key) -> Tensor:
    numbers, address = packed(key, x.shape, x.device), direct.address(x)
    if not isinstance(numbers, tuple) or address is None:
        return reference.multiply_noise(x, deviation, key)
    out = torch.empty_like(x)
    loading.native.gaussian(  # type: ignore[union-attr]
        direct.DTYPES[x.dtype], address, out.data_ptr(), x.numel(), numbers, deviation
    )
    return out


class _Multiplied(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, deviation: float, key: Key) -> Tensor:
        return _compute(x, deviation, key)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.rest = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return multiplied(gradient, *ctx.rest), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return multiplied(tangent, *ctx.rest)


_apply = super(torch.autograd.Function, _Multiplied).apply  # see masked.py
