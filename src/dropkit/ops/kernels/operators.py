"""What tracers have to know of the registered operators: output shapes, derivatives, batching.

Compiled code and modes that watch the dispatcher see ``torch.ops.dropkit_native``; eager code mostly goes past it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dropkit.ops.kernels.loading import native


def _like(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


def _keep_key(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    key, threshold, scale, *_, shape = inputs[1:]
    ctx.save_for_backward(key)
    ctx.rest = threshold, scale, shape


def _select_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
    (key,), (threshold, scale, shape) = ctx.saved_tensors, ctx.rest
    return torch.ops.dropkit_native.select(gradient, key, threshold, scale, shape), None, None, None, None


def _affine_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return (*_select_gradient(ctx, gradient), None, None)


def batched(
    size: int, in_dims: Sequence[Any], x: Tensor, key: Any, shape: Sequence[int]
) -> tuple[Tensor, Any, tuple[int, ...]]:
    """Turn the mapped axis into the first one of the input and, where the keys differ along it, of the mask.

    Args:
        size: Length of the mapped axis.
        in_dims: Where ``x`` and ``key`` have it, or None.
        x: Input.
        key: Packed key, a tuple or a tensor.
        shape: Shape of the mask without the mapped axis.

    Returns:
        Input, key and shape of the mask, for a call without ``vmap``.
    """
    x = x.expand(size, *x.shape) if in_dims[0] is None else x.movedim(in_dims[0], 0)
    if not isinstance(key, Tensor):
        return x, key, (1, *shape)
    if in_dims[1] is not None:
        return x, key.movedim(in_dims[1], 0), (size, *shape)
    return x, key if key.ndim == 1 else key.unsqueeze(0), (1, *shape)


def _batch_select(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
    x, key, *numbers, shape = inputs
    x, key, shape = batched(info.batch_size, in_dims, x, key, shape)
    return torch.ops.dropkit_native.select(x, key, *numbers, shape), 0


def _batch_affine(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
    x, key, *numbers, shape = inputs
    x, key, shape = batched(info.batch_size, in_dims, x, key, shape)
    return torch.ops.dropkit_native.affine(x, key, *numbers, shape), 0


def _register() -> None:
    for name in ("select", "select.words", "affine", "affine.words"):
        torch.library.register_fake(f"dropkit_native::{name}", _like)
    select, affine = "dropkit_native::select", "dropkit_native::affine"
    torch.library.register_autograd(select, _select_gradient, setup_context=_keep_key)
    torch.library.register_autograd(affine, _affine_gradient, setup_context=_keep_key)
    torch.library.register_vmap(select, _batch_select)
    torch.library.register_vmap(affine, _batch_affine)


if native is not None:
    _register()
