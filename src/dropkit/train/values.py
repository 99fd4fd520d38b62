"""Checks of single configuration values; each error names the value's place, its legal range and what was got."""

import math
from collections.abc import Sequence
from numbers import Real

from dropkit.core import ConfigError


def whole(name: str, value: object, *, low: int) -> None:
    """Raise ``ConfigError`` unless ``value`` is an int of at least ``low``; a bool is not an int here."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ConfigError(f"{name} must be a whole number of at least {low}, got {value!r}")


def real(
    name: str,
    value: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Raise ``ConfigError`` unless ``value`` is a finite number in the interval; ``open_*`` exclude its ends."""
    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        number = float(value)
        above = number > low if open_low else number >= low
        below = number < high if open_high else number <= high
        if above and below:
            return
    raise ConfigError(f"{name} must be {_interval(low, high, open_low, open_high)}, got {value!r}")


def one_of(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ``ConfigError`` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def yes_or_no(name: str, value: object) -> None:
    """Raise ``ConfigError`` unless ``value`` is a bool."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {value!r}")


def _interval(low: float, high: float, open_low: bool, open_high: bool) -> str:
    if math.isinf(low) and math.isinf(high):
        return "a finite number"
    if math.isinf(high):
        return f"a finite number {'above' if open_low else 'of at least'} {low:g}"
    return f"a number in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
