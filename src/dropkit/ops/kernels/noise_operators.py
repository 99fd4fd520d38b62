"""What tracers have to know of the registered operator behind Gaussian noise; see operators.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dropkit.ops.kernels.loading import native
from dropkit.ops.kernels.operators import OPERATORS, like


def batched(size: int, in_dims: Sequence[Any], x: Tensor, key: Any) -> tuple[Tensor, Tensor]:
    """Turn the mapped axis into the first one of input and key: each row of a key has variates of its own.

    Args:
        size: Length of the mapped axis.
        in_dims: Where ``x`` and ``key`` have it, or None.
        x: Input.
        key: Packed key, a tuple or a tensor.
    """
    x = x.expand(size, *x.shape) if in_dims[0] is None else x.movedim(in_dims[0], 0)
    words = key if isinstance(key, Tensor) else torch.tensor(key, device="cpu")
    batch = in_dims[1] if isinstance(key, Tensor) else None
    return x, words.expand(size, *words.shape) if batch is None else words.movedim(batch, 0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, key, deviation, noise = inputs
    ctx.save_for_backward(*((key, deviation) if noise == 0 else ()))
    ctx.noise = noise


def _gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
    if ctx.noise == 0:
        gradient = OPERATORS.gaussian(gradient, *ctx.saved_tensors, ctx.noise)
    return gradient, None, None, None


def _batch(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
    x, key, deviation, noise = inputs
    x, key = batched(info.batch_size, in_dims, x, key)
    return OPERATORS.gaussian(x, key, deviation, noise), 0


if native is not None:
    torch.library.register_fake("dropkit_native::gaussian", like)
    torch.library.register_autograd("dropkit_native::gaussian", _gradient, setup_context=_keep)
    torch.library.register_vmap("dropkit_native::gaussian", _batch)
