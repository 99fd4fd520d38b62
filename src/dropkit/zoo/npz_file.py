"""Arrays from NPZ files: ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dropkit.core import ConfigError, DataError
from dropkit.zoo.checks import check_finite, check_labels, check_same_length
from dropkit.zoo.data import Task
from dropkit.zoo.factory import one_line
from dropkit.zoo.source import Array, Source

_PARTS = ("train", "val", "test")


def load_npz(path: Path, *, task: Task | None) -> Source:
    """Read the arrays in ``path``.

    ``x`` is ``(N, D)``: a table, standardised by the training part; or uint8 images, ``(N, H, W)`` or
    ``(N, C, H, W)``: divided by 255; or anything else numeric: as it is. ``y`` is ``(N,)`` or ``(N, 1)``
    labels, numbered from 0 without gaps or as text; or ``(N,)`` or ``(N, k)`` targets. ``class_names``, if
    the file has it, names the classes; a class may then be absent.

    Args:
        path: The file.
        task: None: regression if ``y`` is of a floating-point type, else classification.

    Raises:
        DataError: the file is missing or damaged, or its arrays do not fit together or have illegal values.
    """
    arrays = read_arrays(path)
    names = arrays.pop("class_names", None)
    parts = [part for part in _PARTS if f"x_{part}" in arrays]
    expected = {f"{axis}_{part}" for part in parts for axis in "xy"} if parts else {"x", "y"}
    if set(arrays) != expected or (parts and "train" not in parts):
        raise DataError(
            f"{path}: it must hold x and y, or x_train, y_train, x_test, y_test (and x_val, y_val if there are),"
            f" it holds {', '.join(sorted(arrays)) or 'nothing'}"
        )
    pairs = [(f"x_{part}", f"y_{part}") for part in parts] if parts else [("x", "y")]
    for x, y in pairs:
        _check_pair(arrays, x, y, pairs[0], path)
    inputs = np.concatenate([arrays[x] for x, _ in pairs])
    targets = np.concatenate([arrays[y] for _, y in pairs])
    sizes = {part: len(arrays[f"y_{part}"]) for part in parts} if parts else {"train": len(targets)}

    task = task or ("regression" if targets.dtype.kind == "f" else "classification")
    if task == "classification":
        targets, class_names = _labels(targets, names, path)
        outputs = len(class_names) if class_names else int(targets.max()) + 1
    else:
        targets, class_names = _targets(targets, path), None
        outputs = targets.shape[1]
    pixels = inputs.dtype == np.uint8 and inputs.ndim in (3, 4)
    inputs = inputs[:, None] if pixels and inputs.ndim == 3 else inputs
    return Source(
        name=str(path),
        task=task,
        x=inputs,
        y=targets,
        outputs=outputs,
        class_names=class_names,
        sizes=(sizes["train"], sizes.get("val", 0), sizes.get("test", 0)),
        scaling="standardise" if inputs.ndim == 2 else 255.0 if pixels else 1.0,
        image=inputs.ndim == 4,
    )


def read_arrays(path: Path) -> dict[str, Array]:
    """Return all arrays in ``path`` by name."""
    if not zipfile.is_zipfile(path):  # np.load would take anything else for a pickle
        raise DataError(f"{path}: damaged or no NPZ file; write it (again) with np.savez")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise DataError(f"{path}: it holds Python objects; save arrays of numbers, or of text") from None
        raise DataError(f"{path}: damaged or no NPZ file ({one_line(error)}); write it again") from None


def _check_pair(arrays: Mapping[str, Array], x: str, y: str, first: tuple[str, str], path: Path) -> None:
    for key, kinds in ((x, "biuf"), (y, "biufU")):
        if arrays[key].dtype.kind not in kinds:
            raise DataError(f"{path}: {key} must be numbers, got dtype {arrays[key].dtype}")
        if arrays[key].ndim == 0:
            raise DataError(f"{path}: {key} must have one row an example, got a single number")
    if arrays[x].ndim < 2:
        raise DataError(f"{path}: {x} must be (N, D) or (N, C, H, W), got {arrays[x].shape}; use x[:, None]")
    if arrays[x].shape[1:] != arrays[first[0]].shape[1:] or arrays[y].shape[1:] != arrays[first[1]].shape[1:]:
        raise DataError(
            f"{path}: {x} and {y} must have the shape of {' and '.join(first)}, the first axis apart"
        )
    if arrays[x].ndim == 4 and arrays[x].shape[3] in (1, 3, 4) and arrays[x].shape[1] > 4:
        raise DataError(
            f"{path}: {x} {arrays[x].shape} has its channels last; store (N, C, H, W): x.transpose(0, 3, 1, 2)"
        )
    check_same_length(len(arrays[x]), len(arrays[y]), f"{path}, {x}")
    check_finite(arrays[x], f"{path}, {x}")
    check_finite(arrays[y], f"{path}, {y}")


def _labels(y: Array, names: Array | None, path: Path) -> tuple[Array, tuple[str, ...] | None]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(f"{path}: labels must be (N,), got {y.shape}; for one-hot labels store y.argmax(1)")
    if y.dtype.kind == "U":
        classes, labels = np.unique(y, return_inverse=True)
        return labels.astype(np.int64), tuple(str(value) for value in classes)
    if y.dtype.kind == "f" and (y != np.round(y)).any():
        raise ConfigError(
            f"{path}: y has numbers that are not whole, which are no labels; set task = 'regression'"
        )
    labels = y.astype(np.int64)
    distinct = len(np.unique(labels))
    check_labels(labels, distinct if names is None else len(names), str(path))
    return labels, None if names is None else tuple(str(value) for value in names)


def _targets(y: Array, path: Path) -> Array:
    if y.dtype.kind == "U" or y.ndim > 2:
        raise DataError(
            f"{path}: regression targets must be numbers, (N,) or (N, k), got {y.dtype} {y.shape}"
        )
    return (y[:, None] if y.ndim == 1 else y).astype(np.float64)
