"""What tracers have to know of the registered operators behind the fused forms; see operators.py.

Their masks have one bit an element, and each row of a key covers all that is behind it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dropkit.ops.kernels.loading import native
from dropkit.ops.kernels.operators import OPERATORS, like


def _keep_output(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(output, inputs[-1])


def _relu_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    return OPERATORS.relu_select_backward(gradient, *ctx.saved_tensors), None, None


def _keep_input(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, form, key, law = inputs
    ctx.save_for_backward(x, key, law)
    ctx.form = form


def _activation_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
    x, key, law = ctx.saved_tensors
    return OPERATORS.activation_select_backward(gradient, x, ctx.form, key, law), None, None, None


def _keep_key(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[-2:])


def _add_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return OPERATORS.select(gradient, *ctx.saved_tensors, gradient.shape), gradient, None, None


def _bias_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    of_x = OPERATORS.select(gradient, *ctx.saved_tensors, gradient.shape)
    return of_x, of_x.sum_to_size(of_x.shape[-1:]), gradient, None, None


def _first(size: int, dim: int | None, x: Tensor) -> Tensor:
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


def _batched(name: str) -> Any:
    """Return the rule of an operator whose tensors all get the mapped axis first, the law excepted."""

    def batch(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        *operands, law = inputs
        for i, (dim, operand) in enumerate(zip(in_dims, operands, strict=False)):
            if isinstance(operand, Tensor):
                operand = _first(info.batch_size, dim, operand)
                if name == "bias_select_add" and i == 1:  # it lies along the last axis
                    operand = operand.view(len(operand), *[1] * (operands[0].ndim - 2), -1)
                operands[i] = operand
        return getattr(OPERATORS, name)(*operands, law), 0

    return batch


def _register() -> None:
    for name, gradient, setup in (
        ("relu_select", _relu_gradient, _keep_output),
        ("activation_select", _activation_gradient, _keep_input),
        ("select_add", _add_gradient, _keep_key),
        ("bias_select_add", _bias_gradient, _keep_key),
        ("relu_select_backward", None, None),
        ("activation_select_backward", None, None),
    ):
        operator = f"dropkit_native::{name}"
        torch.library.register_fake(operator, like)
        torch.library.register_vmap(operator, _batched(name))
        if gradient is not None:
            torch.library.register_autograd(operator, gradient, setup_context=setup)


if native is not None:
    _register()
