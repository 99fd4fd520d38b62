"""What tracers have to know of the operators of attention: output shapes, derivatives, batching."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dropkit.ops.kernels.loading import native

OPERATORS = torch.ops.dropkit_native
Dims = tuple[Any, ...]


def gradients(
    gradient: Tensor,
    saved: tuple[Tensor, ...],
    mask: Tensor | None,
    scale: float,
    is_causal: bool,
    of_mask: bool,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of q, k, v and the mask; ``saved``: q, k, v, key, law, and what the operator returned."""
    q, k, v, key, law, out, logarithm = saved
    *slopes, scores = OPERATORS.attention_backward(
        gradient, q, k, v, mask, key, law, out, logarithm, scale, is_causal, of_mask
    )
    of = None
    if of_mask and mask is not None:
        of = scores.sum_to_size(mask.shape).to(mask.dtype)
    return *slopes, of


def fold(
    size: int, in_dims: Dims, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, key: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor]:
    """Return the inputs for a call without ``vmap``: the mapped axis becomes part of the batch.

    Args:
        size: Length of the mapped axis.
        in_dims: Where each input has it, or None.
        q: Queries, shape ``(B, H, L, E)`` besides the mapped axis.
        k: Keys.
        v: Values.
        mask: Mask with four axes, or None.
        key: One key, shape ``(5,)``, or several that the batch is shared by, ``(n, 5)``.
    """

    def first(x: Tensor, dim: int | None) -> Tensor:
        return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)

    batch = first(q, in_dims[0]).shape[1]
    q, k, v = (first(x, dim).flatten(0, 1) for x, dim in zip((q, k, v), in_dims, strict=False))
    if mask is not None and not (in_dims[3] is None and mask.shape[0] == 1):
        mask = first(mask, in_dims[3])
        mask = mask.expand(size, batch, *mask.shape[2:]).flatten(0, 1)
    return q, k, v, mask, first(key, in_dims[4]).reshape(-1, 5)


def _outputs(q: Tensor, k: Tensor, v: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return _rows(q, v.shape[-1]), q.new_empty(q.shape[:3], dtype=torch.float32)


def _gradient_outputs(gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    scores = (*q.shape[:3], k.shape[2]) if rest[-1] else (0,)
    slopes = (_rows(x, x.shape[-1]) for x in (q, k, v))
    return *slopes, q.new_empty(scores, dtype=torch.float32)


def _rows(x: Tensor, columns: int) -> Tensor:
    batch, heads, rows, _ = x.shape
    strides = (heads * rows * columns, columns, heads * columns, 1)
    return x.new_empty_strided((batch, heads, rows, columns), strides)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, mask, key, law, *ctx.rest = inputs
    ctx.save_for_backward(q, k, v, key, law, *output, mask)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _gradient(ctx: Any, gradient: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if gradient is None:
        return (None,) * 8
    *saved, mask = ctx.saved_tensors
    scale, is_causal = ctx.rest
    of_inputs = gradients(gradient, tuple(saved), mask, scale, is_causal, ctx.needs_input_grad[3])
    return *of_inputs, None, None, None, None


def _batch(info: Any, in_dims: Dims, *inputs: Any) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    *tensors, law, scale, is_causal = inputs
    outputs = OPERATORS.attention(*fold(info.batch_size, in_dims, *tensors), law, scale, is_causal)
    return tuple(x.view(info.batch_size, -1, *x.shape[1:]) for x in outputs), (0, 0)


def _register() -> None:
    name = "dropkit_native::attention"
    torch.library.register_fake(name, _outputs)
    torch.library.register_fake(f"{name}_backward", _gradient_outputs)
    torch.library.register_autograd(name, _gradient, setup_context=_keep)
    torch.library.register_vmap(name, _batch)


if native is not None:
    _register()
