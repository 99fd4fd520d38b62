"""Argument checks shared by every room."""

import operator
from numbers import Integral

from dropkit.core.errors import RateError

# Names by which other libraries call a rate, and one minus a rate.
_DROPPING = {"p", "drop", "drop_p", "drop_prob", "drop_rate", "dropout", "dropout_p", "dropout_rate", "prob"}
_KEEPING = {"keep", "keep_p", "keep_prob", "keep_rate", "retain_prob"}


def check_rate(rate: float, name: str = "rate") -> float:
    """Return ``rate`` as a float if it is in ``[0, 1]``, else raise ``RateError`` naming ``name``."""
    try:
        if isinstance(rate, bool | str):  # which float() would take: True drops everything
            raise TypeError
        value = float(rate)
    except (TypeError, ValueError, OverflowError):
        raise RateError(f"{name} must be a number in [0, 1], got {rate!r}") from None
    if not 0.0 <= value <= 1.0:  # also refuses NaN
        raise RateError(f"{name} must be in [0, 1], got {rate!r}")
    return value


def whole_number(value: object) -> int | None:
    """Return ``value`` as an int if it is of an integral type, NumPy's too, but no bool; else None."""
    return operator.index(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def called_rate(name: str) -> str | None:
    """Return what to say where somebody gives a rate under another library's ``name`` for it, or None."""
    if name in _DROPPING:
        return f"{name!r} is called rate here: the probability of dropping"
    if name in _KEEPING:
        return f"{name!r} is not used here; give rate, the probability of dropping: 1 - {name}"
    return None
