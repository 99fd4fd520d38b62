"""Checks of two outputs of a model for one batch."""

from __future__ import annotations

import math

from torch import Tensor

from dropkit.core import DtypeError, OptionError, ShapeError


def check_outputs(name: str, x: Tensor, other: Tensor, axes: int = 1) -> None:
    """Raise unless ``x`` and ``other`` are floating-point tensors of one shape with at least ``axes`` axes."""
    if not x.is_floating_point() or not other.is_floating_point():
        raise DtypeError(f"{name} needs floating-point outputs, got {x.dtype} and {other.dtype}")
    if x.shape != other.shape or x.ndim < axes:
        layout = "(N, *)" if axes == 1 else "(N, C)"
        raise ShapeError(
            f"{name} needs two outputs of one shape {layout}, got {tuple(x.shape)} and {tuple(other.shape)}"
        )
    if x.numel() == 0:
        raise ShapeError(f"{name} needs at least one sample, got shape {tuple(x.shape)}")


def check_coefficient(name: str, value: float, *, positive: bool = False) -> float:
    """Return ``value`` as a float if it is a finite number of at least, or above, 0; else raise ``OptionError``."""
    low = "above 0" if positive else "of at least 0"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < math.inf:
        raise OptionError(f"{name} must be a finite number {low}, got {value!r}")
    if positive and value == 0.0:
        raise OptionError(f"{name} must be a finite number {low}, got {value!r}")
    return float(value)
