"""Multiplicative and additive Gaussian noise on the native kernels, differentiable any number of times.

Noise multiplies by a factor that does not depend on the input, so a gradient or a tangent is the same kernel again;
or it adds, and gradients pass through. Nothing is kept but the key.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dropkit.ops.kernels import direct, loading, noise_operators
from dropkit.random import Key
from dropkit.random.packed import Packed, packed


class Kind(IntEnum):
    """What becomes of an element; the numbers are those of the native kernels."""

    MULTIPLIED = 0  # x * (1 + deviation * z)
    ADDED = 1  # x + deviation * z


class Noise(NamedTuple):
    """One call's noise, but for its key."""

    kind: Kind
    deviation: float


def can_take(x: Tensor) -> bool:
    """Whether the kernels can compute on ``x``."""
    return direct.can_take(x)


def multiplied(x: Tensor, deviation: float, key: Key) -> Tensor:
    """Return ``x * (1 + deviation * z)``, ``z`` standard normal."""
    return _perturbed(x, Noise(Kind.MULTIPLIED, deviation), key)


def added(x: Tensor, deviation: float, key: Key) -> Tensor:
    """Return ``x + deviation * z``, ``z`` standard normal."""
    return _perturbed(x, Noise(Kind.ADDED, deviation), key)


def _perturbed(x: Tensor, noise: Noise, key: Key) -> Tensor:
    numbers = packed(key, x.shape, x.device)
    if torch.compiler.is_compiling():
        return _operator(x, noise, numbers)
    return _differentiable(x, noise, numbers)


def _differentiable(x: Tensor, noise: Noise, key: Packed) -> Tensor:
    if (
        (torch.is_grad_enabled() and x.requires_grad)
        or forward_ad._current_level >= 0
        or torch._C._functorch.maybe_current_level() is not None
    ):
        return _Perturbed.apply(x, key, noise)  # type: ignore[no-any-return, no-untyped-call]
    return _compute(x, noise, key)


def _compute(x: Tensor, noise: Noise, key: Packed) -> Tensor:
    """Run the kernel, below autograd and transforms."""
    if type(key) is tuple and (address := direct.address(x)) is not None:
        out = torch.empty_like(x)
        loading.native.gaussian(  # type: ignore[union-attr]
            noise.kind, direct.DTYPES[x.dtype], address, out.data_ptr(), x.numel(), key, noise.deviation
        )
        return out
    return _operator(x, noise, key)


def _operator(x: Tensor, noise: Noise, key: Packed) -> Tensor:
    words = key if isinstance(key, Tensor) else torch.tensor(key, device="cpu")
    # added to a tensor, a number that compiled code sees change stays symbolic, and is not compiled again
    deviation = torch.zeros((), dtype=torch.float64, device="cpu") + noise.deviation
    output: Tensor = torch.ops.dropkit_native.gaussian(x, words, deviation, noise.kind)
    return output


class _Perturbed(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, key: Packed, noise: Noise) -> Tensor:
        return _compute(x, noise, key)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, key, noise = inputs
        if isinstance(key, Tensor) and noise.kind == Kind.MULTIPLIED:
            ctx.save_for_backward(key)
            ctx.save_for_forward(key)
            key = None
        ctx.rest = key, noise

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _again(ctx, gradient), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return _again(ctx, tangent)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor, key: Packed, noise: Noise) -> tuple[Tensor, int]:
        x, words = noise_operators.batched(info.batch_size, in_dims, x, key)
        return _Perturbed.apply(x, words, noise), 0  # type: ignore[no-untyped-call]


def _again(ctx: Any, x: Tensor) -> Tensor:
    key, noise = ctx.rest
    if noise.kind == Kind.ADDED:
        return x.view_as(x)  # a tangent must not be its output's own
    return _differentiable(x, noise, ctx.saved_tensors[0] if key is None else key)
