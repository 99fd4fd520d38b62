"""What tracers have to know of the registered operators: output shapes, derivatives, batching.

Compiled code and modes that watch the dispatcher see ``torch.ops.dropkit_native``; eager code mostly goes past it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dropkit.ops.kernels.loading import native

OPERATORS = torch.ops.dropkit_native


def like(x: Tensor, *_: Any) -> Tensor:
    """Return an output that only has its metadata, those of the first argument."""
    return torch.empty_like(x)


def _keep_key(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, key, law, shape = inputs
    ctx.save_for_backward(key, law if law.numel() == 2 else law[:2].clone())
    ctx.shape = shape


def _select_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
    return OPERATORS.select(gradient, *ctx.saved_tensors, ctx.shape), None, None, None


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


def _batch_masked(name: str) -> Any:
    def batch(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        x, key, law, shape = inputs
        x, key, shape = batched(info.batch_size, in_dims, x, key, shape)
        return getattr(OPERATORS, name)(x, key, law, shape), 0

    return batch


def _register() -> None:
    for name in ("select", "affine"):
        operator = f"dropkit_native::{name}"
        torch.library.register_fake(operator, like)
        torch.library.register_fake(f"{operator}.words", like)
        torch.library.register_autograd(operator, _select_gradient, setup_context=_keep_key)
        torch.library.register_vmap(operator, _batch_masked(name))


if native is not None:
    _register()
