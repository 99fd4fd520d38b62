"""What the ops that add to a residual ask of their inputs, and in which dtypes they work."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from dropkit.core import DtypeError, ShapeError


def check_residual(name: str, x: Tensor, residual: Tensor) -> None:
    """Raise unless ``residual`` can be added to ``x``, element by element."""
    if residual.shape != x.shape:
        raise ShapeError(
            f"{name} needs a residual of the shape of x, {tuple(x.shape)}, got {tuple(residual.shape)}"
        )
    if not residual.is_floating_point():
        raise DtypeError(f"{name} needs a floating-point residual, got {residual.dtype}; cast it")


def check_bias(name: str, x: Tensor, bias: Tensor) -> None:
    """Raise unless ``bias`` goes along the last axis of ``x``."""
    if x.ndim == 0 or bias.shape != x.shape[-1:]:
        raise ShapeError(
            f"{name} needs a bias of shape (D,) for x of shape (*, D), got {tuple(bias.shape)} for "
            f"{tuple(x.shape)}"
        )
    if not bias.is_floating_point():
        raise DtypeError(f"{name} needs a floating-point bias, got {bias.dtype}; cast it")


def common_dtypes(*tensors: Tensor) -> tuple[torch.dtype, torch.dtype]:
    """Return the dtype for arithmetic, fp32 or fp64, and that of the output."""
    output = reduce(torch.promote_types, (t.dtype for t in tensors))
    return torch.float64 if output == torch.float64 else torch.float32, output
