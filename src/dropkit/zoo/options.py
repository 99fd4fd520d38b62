"""Checks of model options."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dropkit.core import ConfigError, ShapeError


def check_counts(name: str, counts: Sequence[int]) -> tuple[int, ...]:
    """Return ``counts`` as a tuple if they are a list of positive integers, else raise ``ConfigError``."""
    if not isinstance(counts, list | tuple) or any(
        isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in counts
    ):
        raise ConfigError(f"{name} must be a list of positive integers, got {counts!r}")
    return tuple(counts)


def check_flag(name: str, flag: bool) -> bool:
    """Return ``flag`` if it is true or false, else raise ``ConfigError``."""
    if not isinstance(flag, bool):
        raise ConfigError(f"{name} must be true or false, got {flag!r}")
    return flag


def check_positive(name: str, value: float) -> float:
    """Return ``value`` as a float if it is positive and finite, else raise ``ConfigError``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise ConfigError(f"{name} must be a positive number, got {value!r}")
    return float(value)


def check_image(model: str, input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return ``input_shape`` if it is ``(C, H, W)``, else raise ``ShapeError``."""
    if len(input_shape) != 3:
        raise ShapeError(
            f"{model} needs images, input shape (C, H, W), got {tuple(input_shape)}; use model 'mlp' for such data"
        )
    channels, height, width = input_shape
    return channels, height, width
