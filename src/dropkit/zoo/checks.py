"""Checks that every loader makes of what it read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropkit.core import DataError


def check_finite(
    values: NDArray[Any],
    where: str,
    *,
    columns: Sequence[str] | None = None,
    rows: str = "row",
    first: int = 0,
) -> None:
    """Raise ``DataError`` if ``values``, shape ``(N, *)``, has a NaN or an infinite entry.

    The text has their number, the number of the first row that has one (counted from ``first``, called ``rows``),
    and the name of its column where ``columns`` names them.
    """
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    at = np.argwhere(bad)[0]
    column = f", column {columns[at[1]]!r}" if columns is not None else ""
    kind = "missing (NaN)" if np.isnan(values[tuple(at)]) else "infinite"
    raise DataError(
        f"{where}: {int(bad.sum())} missing or infinite values, the first one {kind} in {rows} {at[0] + first}"
        f"{column}; remove those rows or fill the values in"
    )


def check_labels(labels: NDArray[Any], classes: int, where: str) -> None:
    """Raise ``DataError`` if a label of ``labels``, ``(N,)``, lies outside ``[0, classes)``."""
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{where}: label {labels[row]} in row {row} is out of range 0 to {classes - 1}"
            f" ({int(bad.sum())} such labels); number the classes from 0 without gaps"
        )


def check_same_length(x: int, y: int, where: str) -> None:
    """Raise ``DataError`` unless there is one target for each input, and at least one of them."""
    if x != y:
        raise DataError(f"{where}: {x} inputs but {y} targets; there must be one target for each input")
    if x == 0:
        raise DataError(f"{where}: there are no examples in it")
