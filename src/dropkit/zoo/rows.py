"""More rows of the kind that a model was trained on: new examples for an old model, with labels or without."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from dropkit.core import DataError, unknown_name
from dropkit.zoo.checks import check_finite, check_labels, check_same_length
from dropkit.zoo.csv_file import TABLES, numbers_of, read_table
from dropkit.zoo.data import Data, Inputs
from dropkit.zoo.factory import call_factory, is_reference
from dropkit.zoo.load import DATA_NAMES, load_data
from dropkit.zoo.npz_file import read_arrays
from dropkit.zoo.source import Array

PARTS = ("train", "val", "test")


def load_rows(name: str, like: Data, *, dir: str | os.PathLike[str] | None = None) -> Dataset[Any]:
    """Return examples for a model that was trained on ``like``: ``(x, y)`` pairs, or ``(x,)`` without labels.

    Args:
        name: A part of ``like``, ``"train"``, ``"val"`` or ``"test"``; a built-in data set, of which the test part is
            taken; a ``.csv``, ``.tsv`` or ``.npz`` file with inputs in the unit of the file that ``like`` was read
            from, and with or without targets; or ``"package.module:factory"``, called without arguments, for a Dataset
            of what the model takes.
        like: What the model was trained on: it says how inputs are scaled and which classes there are.
        dir: Folder that a relative path starts from, or of a built-in data set's files.

    Returns:
        Examples in their order. ``y`` is a label as ``like`` numbers them, or a target as ``like`` standardises it. A
        built-in data set of other classes has no labels.

    Raises:
        DataError: The data is missing, damaged, or does not fit the model.
        UnknownNameError: There is no such data.
    """
    if name in PARTS:
        part: Dataset[Any] = getattr(like, name)
        return part
    path = Path(name).expanduser() if dir is None else Path(dir).expanduser() / name
    suffix = path.suffix.lower()
    if suffix in (*TABLES, ".npz"):
        if not path.is_file():
            raise DataError(f"{name}: there is no file {path.absolute()}; correct the path")
        x, y = _npz(path) if suffix == ".npz" else _table(path, like)
        return _dataset(name, *_as_trained(name, x, y, like))
    if name in DATA_NAMES:
        other = load_data(name, dir=dir)
        x, y = _stacked(other.test, name)
        known = other.task == like.task and other.class_names == like.class_names
        return _dataset(name, _shaped(name, x, like), y if known else None)
    if is_reference(name):
        made = call_factory(name, offered={}, options={} if dir is None else {"dir": dir})
        x, y = _stacked(_chosen(made, name), name)
        return _dataset(name, _shaped(name, x, like), y if isinstance(made, Data) else _known(name, y, like))
    raise unknown_name("data", name, [*PARTS, *DATA_NAMES, "FILE.csv", "FILE.npz", "package.module:factory"])


def _dataset(name: str, x: Array, y: Array | None) -> Dataset[Any]:
    check_finite(x, name)
    if len(x) == 0:
        raise DataError(f"{name}: there are no rows in it")
    inputs = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    if y is None:
        return TensorDataset(inputs)
    check_same_length(len(x), len(y), name)
    return TensorDataset(inputs, torch.from_numpy(np.ascontiguousarray(y)))


def _as_trained(name: str, x: Array, y: Array | None, like: Data) -> tuple[Array, Array | None]:
    """Return inputs scaled, and targets numbered or standardised, as those of ``like`` were."""
    shaped = _shaped(name, x, like)
    check_finite(shaped, name)
    inputs = shaped.astype(np.float32) if like.inputs is None else like.inputs.of(shaped)
    return inputs, _known(name, y, like)


def _known(name: str, y: Array | None, like: Data) -> Array | None:
    """Return labels as numbers, or targets standardised."""
    if y is None:
        return None
    if like.task == "classification":
        return _labels(name, y, like)
    return ((_targets(name, y, like) - like.target_mean) / like.target_std).astype(np.float32)


def _shaped(name: str, x: Array, like: Data) -> Array:
    wanted = tuple(like.input_shape)
    if x.ndim == 3 and len(wanted) == 3 and wanted[0] == 1:
        x = x[:, None]
    elif x.ndim == 2 and len(wanted) > 1 and x.shape[1] == math.prod(wanted):
        x = x.reshape(len(x), *wanted)  # a table has no other way to hold images
    if x.shape[1:] != wanted:
        raise DataError(f"{name}: inputs must have shape {wanted} as in training, got {tuple(x.shape[1:])}")
    if x.dtype.kind not in "biuf":
        raise DataError(f"{name}: inputs must be numbers, got {x.dtype}")
    return x


def _labels(name: str, y: Array, like: Data) -> Array:
    """Return labels as ``like`` numbers them; those that are names are looked up."""
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1:
        raise DataError(f"{name}: labels must be one a row, got shape {y.shape}")
    if y.dtype.kind == "U":
        names = {text: i for i, text in enumerate(like.class_names or map(str, range(like.outputs)))}
        for text in y:
            if str(text) not in names:
                raise unknown_name(f"class in {name}:", str(text), names)
        return np.array([names[str(text)] for text in y], dtype=np.int64)
    if y.dtype.kind == "f" and not (y == np.round(y)).all():
        raise DataError(f"{name}: labels must be whole numbers or names, as the model is a classifier")
    labels = y.astype(np.int64)
    check_labels(labels, like.outputs, name)
    return labels


def _targets(name: str, y: Array, like: Data) -> Array:
    if y.dtype.kind not in "biuf":
        raise DataError(f"{name}: targets must be numbers, as the model is for regression, got {y.dtype}")
    y = y[:, None] if y.ndim == 1 else y
    if y.shape[1:] != (like.outputs,):
        raise DataError(f"{name}: targets must have {like.outputs} columns, got shape {y.shape}")
    check_finite(y, f"{name}, targets")
    return y.astype(np.float64)


def _table(path: Path, like: Data) -> tuple[Array, Array | None]:
    columns, rows, lines = read_table(path)
    known = like.inputs or Inputs(np.zeros(()), np.ones(()))
    wanted = known.columns
    if wanted is None:  # the model learnt from a table without names: the target, if there, comes last
        count = int(np.prod(like.input_shape))
        wanted = tuple(columns[:count])
        target = columns[count] if len(columns) == count + 1 else None
        if len(columns) not in (count, count + 1):
            raise DataError(
                f"{path}: {count} input columns are needed, and maybe a target after them, got {len(columns)}"
            )
    else:
        target = known.target if known.target in columns else None
        for column in wanted:
            if column not in columns:
                raise unknown_name(f"{path}: there is no column that the model needs:", column, columns)
    cells = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
    x = np.column_stack([numbers_of(cells[column], column, path, lines) for column in wanted])
    if target is None:
        return x, None
    if like.task == "regression":
        return x, numbers_of(cells[target], target, path, lines)
    return x, np.array([_class(cell, like.class_names or ()) for cell in cells[target]])


def _class(cell: str, names: Sequence[str]) -> str:
    """Return the class that a cell names; a table's whole numbers are named without a point."""
    try:
        value = float(cell)
    except ValueError:
        return cell
    return cell if cell in names or not value.is_integer() else f"{value:.0f}"


def _npz(path: Path) -> tuple[Array, Array | None]:
    arrays = read_arrays(path)
    for x, y in (("x", "y"), ("x_test", "y_test")):
        if x in arrays:
            return arrays[x], arrays.get(y)
    raise DataError(
        f"{path}: it must hold x or x_test (and y or y_test), it holds {', '.join(sorted(arrays)) or 'nothing'}"
    )


def _chosen(made: Any, name: str) -> Dataset[Any]:
    """Return the Dataset that a factory made: the only one, or the test part of several."""
    if isinstance(made, Data):
        made = made.test
    elif isinstance(made, dict) and made:
        made = made.get("test", next(iter(made.values())))
    elif isinstance(made, tuple | list) and made:
        made = made[-1]
    if not isinstance(made, Dataset) or not hasattr(made, "__len__"):
        raise DataError(
            f"factory {name!r} must return a torch Dataset with a length, got {type(made).__name__}"
        )
    return made


def _stacked(part: Dataset[Any], name: str) -> tuple[Array, Array | None]:
    """Return all examples of ``part`` as arrays."""
    try:
        batches = [batch if isinstance(batch, list | tuple) else (batch,) for batch in DataLoader(part, 256)]
        x = torch.cat([torch.as_tensor(batch[0]) for batch in batches])
        y = torch.cat([torch.as_tensor(batch[1]) for batch in batches]) if len(batches[0]) > 1 else None
    except (RuntimeError, TypeError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(
            f"{name}: its examples must be (x, y) pairs or x alone, of one shape ({reason})"
        ) from error
    return x.numpy(), None if y is None else y.numpy()
