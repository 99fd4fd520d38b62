"""Checks of single values of a configuration, for pydantic; each text says what is legal and what was got."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic_core import PydanticCustomError

from dropkit.core import called_rate, whole_number

LAST_SEED = 2**63 - 1


def bad(text: str) -> PydanticCustomError:
    """Return an error that pydantic reports with ``text`` as it stands."""
    return PydanticCustomError("dropkit", "{text}", {"text": text})


def rates(value: Any) -> Any:
    """Accept a rate, a non-empty list of different rates, or nothing."""
    if value is None:
        return None
    rates = value if isinstance(value, list | tuple) else [value]
    if not rates:
        raise bad("must hold at least one rate, got an empty list")
    for rate in rates:
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            raise bad(
                f"must be a number in [0, 1], a list of numbers, or the table of a schedule, got {rate!r}"
            )
        if not 0.0 <= rate <= 1.0:
            raise bad(f"must be in [0, 1], got {rate!r}")
    grid = tuple(float(rate) for rate in rates)
    if len(set(grid)) < len(grid):
        raise bad(f"must hold different rates, got {list(grid)}")
    return grid if isinstance(value, list | tuple) else grid[0]


def seeds(value: Any) -> Any:
    """Accept a number of seeds (0, 1, 2, ...) or a list of different seeds; at least two either way."""
    if (count := whole_number(value)) is not None:
        if not 2 <= count <= 100_000:
            raise bad(f"must be between 2 and 100000 (a comparison needs two), got {count}")
        return tuple(range(count))
    if not isinstance(value, list | tuple):
        raise bad(f"must be a whole number or a list of whole numbers, got {value!r}")
    found = []
    for seed in value:
        number = whole_number(seed)
        if number is None or not 0 <= number <= LAST_SEED:
            raise bad(f"must hold whole numbers from 0 to 2^63 - 1, got {seed!r}")
        found.append(number)
    if len(set(found)) < len(found):
        raise bad("must hold different seeds, got one of them twice")
    if len(found) < 2:
        raise bad(f"must hold at least two seeds (a comparison needs two), got {found}")
    return tuple(found)


def places(value: Any) -> Any:
    """Accept one place of a model or a non-empty list of places."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise bad(f"must be a name or a list of names, got {value!r}")


def places_or_none(value: Any) -> Any:
    """Accept what :func:`places` accepts, and an empty list."""
    return () if isinstance(value, list | tuple) and not value else places(value)


def size(value: Any) -> Any:
    """Accept a number, or nothing; the data room knows which are legal."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise bad(f"must be a number of examples or a fraction, got {value!r}")


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise for the first key of ``given`` that is not in ``known``, naming the nearest one that is."""
    choices = sorted(known)
    for key in given:
        if key not in choices:
            if "rate" in choices and (text := called_rate(str(key))):
                raise bad(f"unknown key {text}")
            near = get_close_matches(str(key), choices, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(choices)}"
            raise bad(f"unknown key {key!r}; {hint}")
