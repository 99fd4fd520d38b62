"""Reading a column of results out of CSV files."""

from __future__ import annotations

import csv
from difflib import get_close_matches
from pathlib import Path

from dropkit.core import DataError


def read_results(a: Path, b: Path, column: str | None) -> tuple[str, list[float], list[float]]:
    """Return the name of a column and its values in two files, paired.

    The first line of a file names its columns, unless all of it is numbers: then they are named "1", "2", ...
    Where both files have a column ``seed``, rows are paired by it, else by their order.

    Args:
        a: CSV file, UTF-8.
        b: Another, with the same columns as far as they matter.
        column: The column; None: the only one but ``seed``.

    Raises:
        DataError: A file is missing or malformed, the column is not there or not numeric, or rows have no partner.
    """
    first, second = _read(a), _read(b)
    if column is None:
        column = _only_column(a, first)
    values = [_numbers(path, table, column) for path, table in ((a, first), (b, second))]
    if "seed" in first and "seed" in second and column != "seed":
        orders = [_by_seed(path, table["seed"]) for path, table in ((a, first), (b, second))]
        for path, other, seeds in ((b, orders[0], orders[1]), (a, orders[1], orders[0])):
            missing = [seed for seed in other if seed not in seeds]
            if missing:
                raise DataError(
                    f"{path}: there is no row for seed {missing[0]}, which the other file has; add it"
                )
        values[1] = [values[1][orders[1][seed]] for seed in orders[0]]
    elif len(values[0]) != len(values[1]):
        raise DataError(
            f"{a} has {len(values[0])} rows and {b} has {len(values[1])}; give a row for each of the same seeds"
        )
    return column, values[0], values[1]


def _read(path: Path) -> dict[str, list[str]]:
    """Return the columns of a CSV file by name, as text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in row] for row in csv.reader(file) if any(map(str.strip, row))]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; correct the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV file: {error}") from None
    if not lines:
        raise DataError(f"{path}: the file is empty; give a row a seed")
    if all(_is_number(cell) for cell in lines[0]):
        heads, rows = [str(i + 1) for i in range(len(lines[0]))], lines
    else:
        heads, rows = ["seed" if head.lower() == "seed" else head for head in lines[0]], lines[1:]
    if len(set(heads)) < len(heads):
        raise DataError(f"{path}: two columns have the same name; rename one")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(heads):
            raise DataError(f"{path}: row {number} has {len(row)} values for {len(heads)} columns; mend it")
    return {head: [row[i] for row in rows] for i, head in enumerate(heads)}


def _only_column(path: Path, table: dict[str, list[str]]) -> str:
    columns = [name for name in table if name != "seed"]
    if len(columns) != 1:
        raise DataError(
            f"{path}: choose one of its columns with --column: {', '.join(columns) or 'it has none'}"
        )
    return columns[0]


def _numbers(path: Path, table: dict[str, list[str]], column: str) -> list[float]:
    if column not in table:
        near = get_close_matches(column, table, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(table)}"
        raise DataError(f"{path}: there is no column {column!r}; {hint}")
    for number, cell in enumerate(table[column], start=1):
        if not _is_number(cell):
            raise DataError(f"{path}: column {column!r}, row {number} must be a number, got {cell!r}")
    return [float(cell) for cell in table[column]]


def _by_seed(path: Path, seeds: list[str]) -> dict[str, int]:
    """Return the row of each seed."""
    rows = {seed: row for row, seed in enumerate(seeds)}
    if len(rows) < len(seeds):
        raise DataError(f"{path}: a seed has two rows; keep one")
    return rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
