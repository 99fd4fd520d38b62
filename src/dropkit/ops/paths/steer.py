"""A product whose gradient uses another factor than its value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Steer(torch.autograd.Function):
    """``x * forward`` whose gradient is ``gradient * backward``: no derivative of anything, by design.

    Products are taken in fp32 (fp64 for fp64) and rounded once. Forward-mode differentiation raises, since value and
    gradient disagree on what the derivative is.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        """Return ``x * value``."""
        return _product(x, value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        """Keep the backward factor."""
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return ``gradient * slope``."""
        return _product(gradient, ctx.saved_tensors[0]), None, None


def steer(x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """Return ``x * value`` with the gradient of ``x * slope``; both broadcast over ``x`` and are constants."""
    result: Tensor = Steer.apply(x, value, slope)  # type: ignore[no-untyped-call]
    return result


def _product(x: Tensor, factor: Tensor) -> Tensor:
    wide = torch.promote_types(x.dtype, torch.float32)
    return (x.to(wide) * factor.to(wide)).to(x.dtype)
