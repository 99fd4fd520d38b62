"""Checks of the numbers that schedules hold."""

from __future__ import annotations

import math

from dropkit.core import OptionError


def check_steps(name: str, value: int) -> int:
    """Return ``value`` if it is a whole number of at least 1, else raise ``OptionError`` naming ``name``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} must be a whole number of at least 1, got {value!r}")
    return value


def check_positive(name: str, value: float) -> float:
    """Return ``value`` as a float if it is finite and above 0, else raise ``OptionError`` naming ``name``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < math.inf:
        raise OptionError(f"{name} must be a finite number above 0, got {value!r}")
    return float(value)
