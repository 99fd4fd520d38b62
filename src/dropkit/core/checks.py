"""Argument checks shared by every room."""

from dropkit.core.errors import RateError


def check_rate(rate: float, name: str = "rate") -> float:
    """Return ``rate`` as a float if it is in ``[0, 1]``, else raise ``RateError`` naming ``name``."""
    try:
        if isinstance(rate, bool | str):  # which float() would take: True drops everything
            raise TypeError
        value = float(rate)
    except (TypeError, ValueError):
        raise RateError(f"{name} must be a number in [0, 1], got {rate!r}") from None
    if not 0.0 <= value <= 1.0:  # also refuses NaN
        raise RateError(f"{name} must be in [0, 1], got {rate!r}")
    return value
