"""Tables from CSV files: one line of column names, then numbers, one column being the target."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from dropkit.core import ConfigError, DataError, unknown_name
from dropkit.zoo.checks import check_finite
from dropkit.zoo.data import Task
from dropkit.zoo.source import Array, Source

FEW_CLASSES = 20  # an integer target with more distinct values than this is taken for a quantity
TABLES = (".csv", ".tsv")
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "?"})


def load_csv(path: Path, *, target: str | None, task: Task | None) -> Source:
    """Read the table in ``path``; inputs are to be standardised, by the training part.

    Columns are separated by commas, semicolons or tabs, whichever the first line has most of.

    Args:
        path: The file, UTF-8.
        target: Name of the target column; None: the last one.
        task: None: classification if the target is not numeric, or is of whole numbers with at most
            ``FEW_CLASSES`` distinct values; else regression.

    Raises:
        DataError: the file is missing or damaged, or has a cell that is missing or not a number.
        UnknownNameError: there is no column called ``target``.
    """
    columns, rows, lines = read_table(path)
    if target is not None and target not in columns:
        raise unknown_name(f"target column of {path}:", target, columns)
    at = columns.index(target) if target is not None else len(columns) - 1
    inputs = [i for i in range(len(columns)) if i != at]
    x = np.column_stack([numbers_of([row[i] for row in rows], columns[i], path, lines) for i in inputs])
    check_finite_cells(x, [columns[i] for i in inputs], path, lines)

    cells = [row[at] for row in rows]
    gone = [line for cell, line in zip(cells, lines, strict=True) if cell.lower() in {"", "nan"}]
    if gone:
        raise DataError(
            f"{path}: target {columns[at]!r} is missing in {len(gone)} rows, the first on line {gone[0]};"
            " remove those rows"
        )
    y, names = _target(cells, columns[at], path, lines, task)
    return Source(
        name=str(path),
        task="regression" if names is None else "classification",
        x=x,
        y=y,
        outputs=1 if names is None else len(names),
        class_names=names,
        sizes=(len(rows), 0, 0),
        scaling="standardise",
        columns=tuple(columns[i] for i in inputs),
        target=columns[at],
    )


def check_finite_cells(x: Array, columns: list[str], path: Path, lines: list[int]) -> None:
    """As ``check_finite``, naming the line of the file."""
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        row = int(bad[0])
        check_finite(x[row:], str(path), columns=columns, rows="line", first=lines[row])


def read_table(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the column names, the rows of stripped cells, and the line number of each row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    first = text.split("\n", 1)[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), skipinitialspace=True
    )
    table, lines = [], []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                table.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is not CSV ({error})") from None
    if len(table) < 2:
        raise DataError(
            f"{path}: it needs a line of column names and rows under it, it has {len(table)} lines"
        )
    columns = table[0]
    if len(columns) < 2:
        raise DataError(f"{path}: it has one column; it needs at least one input column and a target column")
    if all(_number(cell) is not None for cell in columns):
        raise DataError(f"{path}: the first line must be column names, got numbers; put a header line on top")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"{path}: two columns are called {twice[0]!r}; each needs a name of its own")
    for row, line in zip(table, lines, strict=True):
        if len(row) != len(columns):
            raise DataError(f"{path}: line {line} has {len(row)} cells, the header has {len(columns)}")
    return columns, table[1:], lines[1:]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def numbers_of(cells: list[str], column: str, path: Path, lines: list[int]) -> Array:
    """Return an input column as float64, NaN where a cell is missing."""
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        value = float("nan") if cell.lower() in _MISSING else _number(cell)
        if value is None:
            raise DataError(
                f"{path}: column {column!r} is not numeric, it has {cell!r} on line {lines[i]}; leave the column"
                " out, or code it as numbers (one 0/1 column for each of its values)"
            )
        values[i] = value
    return values


def _target(
    cells: list[str], column: str, path: Path, lines: list[int], task: Task | None
) -> tuple[Array, tuple[str, ...] | None]:
    """Return labels and class names, or targets, ``(N, 1)``, and None."""
    parsed = [_number(cell) for cell in cells]
    numbers = np.array([value for value in parsed if value is not None])
    numeric = len(numbers) == len(cells)
    whole = numeric and bool(np.isfinite(numbers).all()) and bool((numbers == np.round(numbers)).all())
    if task is None:
        few = whole and len(np.unique(numbers)) <= FEW_CLASSES
        task = "classification" if few or not numeric else "regression"
    if task == "regression":
        if not numeric:
            i = parsed.index(None)
            raise DataError(
                f"{path}: target {column!r} is not numeric, it has {cells[i]!r} on line {lines[i]};"
                " correct it, or set task = 'classification'"
            )
        check_finite_cells(numbers[:, None], [column], path, lines)
        return numbers[:, None], None
    if numeric and not whole:
        raise ConfigError(
            f"{path}: target {column!r} has numbers that are not whole, which are no class labels;"
            " set task = 'regression', or name another target"
        )
    classes, labels = np.unique(numbers if numeric else np.array(cells), return_inverse=True)
    return labels.astype(np.int64), tuple(f"{value:.0f}" if numeric else str(value) for value in classes)
