"""Data from a user's own factory: torch Datasets, checked once from the first example to the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, TensorDataset

from dropkit.core import DataError, unknown_name
from dropkit.zoo.checks import check_finite, check_labels
from dropkit.zoo.data import Data, Part, Task
from dropkit.zoo.factory import call_factory, one_line
from dropkit.zoo.source import Array, Source

_PARTS = ("train", "val", "test")


def load_factory_data(reference: str, *, dir: Path | None, task: Task | None) -> Source | Data:
    """Call the factory ``reference``, and look at each example once.

    The factory returns a ``Data``, which is passed on as it is; or ``(train, val, test)`` or ``(train, test)``, or a
    dict with these names, or a single Dataset, each Dataset giving pairs ``(x, y)``. Integer ``y`` are labels,
    floating-point ``y`` are targets. Where the training Dataset has ``classes``, they name the classes.

    Args:
        reference: ``"package.module:factory"``.
        dir: Passed to the factory as ``dir=``, if given.
        task: None: decided by the type of ``y``.

    Raises:
        ConfigError: the factory cannot be imported, or raised.
        DataError: it returned something else, or data that cannot be used.
    """
    made = call_factory(reference, offered={}, options={} if dir is None else {"dir": dir})
    if isinstance(made, Data):
        _check_data(made, reference)
        return made
    parts = _parts(made, reference)
    read = {part: _read(dataset, f"{reference}, {part}", task) for part, dataset in parts.items()}
    train = read["train"]
    for part, other in read.items():
        if (other.shape, other.task, other.y.shape[1:]) != (train.shape, train.task, train.y.shape[1:]):
            raise DataError(
                f"{reference}: {part} has {other.describe()}, train has {train.describe()}; they must be alike"
            )
    names = _class_names(parts["train"]) if train.task == "classification" else None
    outputs = train.y.shape[-1]
    if train.task == "classification":
        outputs = len(names) if names else int(train.y.max()) + 1
        for part, other in read.items():
            check_labels(other.y, outputs, f"{reference}, {part}")
    in_memory = [part.x for part in read.values() if part.x is not None]
    return Source(
        name=reference,
        task=train.task,
        x=np.concatenate(in_memory) if len(in_memory) == len(read) else ConcatDataset(parts.values()),
        y=np.concatenate([part.y for part in read.values()]),
        outputs=outputs,
        class_names=names,
        sizes=(len(train.y), _rows(read, "val"), _rows(read, "test")),
        image=len(train.shape) == 3 and train.shape[0] in (1, 3, 4),
    )


@dataclass(frozen=True)
class _Read:
    """One part, read through; ``x`` only where the part was in memory anyway."""

    x: Array | None
    shape: tuple[int, ...]
    y: Array
    task: Task

    def describe(self) -> str:
        return f"x of shape {self.shape} for {self.task} of y {self.y.shape[1:]}"


def _rows(read: Mapping[str, _Read], part: str) -> int:
    return len(read[part].y) if part in read else 0


def _parts(made: Any, reference: str) -> dict[str, Part]:
    if isinstance(made, Dataset):
        made = {"train": made}
    if isinstance(made, tuple | list) and len(made) in (2, 3):
        made = dict(zip(_PARTS if len(made) == 3 else ("train", "test"), made, strict=True))
    if not isinstance(made, Mapping):
        size = f" of {len(made)}" if isinstance(made, tuple | list) else ""
        raise DataError(
            f"factory {reference!r} must return a Data, (train, val, test), (train, test), a dict of these, or a"
            f" Dataset, got {type(made).__name__}{size}"
        )
    for key in made:
        if key not in _PARTS:
            raise unknown_name(f"part from factory {reference!r}:", str(key), _PARTS)
    if "train" not in made:
        raise DataError(
            f"factory {reference!r} must return a training part, got {', '.join(made) or 'nothing'}"
        )
    for key, part in made.items():
        if not isinstance(part, Dataset) or isinstance(part, IterableDataset) or not hasattr(part, "__len__"):
            raise DataError(
                f"factory {reference!r}: {key} must be a torch Dataset with a length, got {type(part).__name__};"
                " tensors go into a TensorDataset"
            )
        if len(part) == 0:
            raise DataError(f"factory {reference!r}: {key} has no examples")
    return {part: made[part] for part in _PARTS if part in made}


def _read(dataset: Part, where: str, task: Task | None) -> _Read:
    if type(dataset) is TensorDataset:
        if len(dataset.tensors) != 2:
            raise DataError(f"{where}: a TensorDataset must hold x and y, got {len(dataset.tensors)} tensors")
        x, y = (tensor.detach().cpu() for tensor in dataset.tensors)
        inputs = x.to(torch.float32).numpy()
        check_finite(inputs, where, rows="example")
        return _Read(inputs, tuple(x.shape[1:]), *_target(y, where, task))
    shape: tuple[int, ...] | None = None
    targets = []
    for i in range(len(dataset)):  # type: ignore[arg-type]  # its length was checked
        x, y = _example(dataset, i, where)
        if shape is not None and x.shape != shape:
            raise DataError(
                f"{where}: x of example {i} has shape {tuple(x.shape)}, example 0 {shape}; make them equal"
            )
        shape = tuple(x.shape)
        check_finite(x.numpy()[None], where, rows="example", first=i)
        targets.append(y)
    if len({y.shape for y in targets}) > 1:
        raise DataError(f"{where}: y differs in shape from example to example; make them equal")
    return _Read(None, shape or (), *_target(torch.stack(targets), where, task))


def _example(dataset: Part, i: int, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        example = dataset[i]
    except Exception as error:
        raise DataError(f"{where}: example {i} raised {one_line(error)}; correct the Dataset") from error
    if not isinstance(example, tuple | list) or len(example) != 2:
        raise DataError(f"{where}: example {i} must be a pair (x, y), got {type(example).__name__}")
    try:
        return torch.as_tensor(example[0], dtype=torch.float32), torch.as_tensor(example[1])
    except (TypeError, ValueError, RuntimeError):
        kinds = " and ".join(type(part).__name__ for part in example)
        raise DataError(
            f"{where}: example {i} must be tensors or numbers, got {kinds}; convert them"
        ) from None


def _target(y: torch.Tensor, where: str, task: Task | None) -> tuple[Array, Task]:
    """Return labels, ``(N,)``, or targets, ``(N, k)``, and which of the two they are."""
    values = y.numpy() if y.dtype != torch.bfloat16 else y.float().numpy()
    check_finite(values, f"{where}, y", rows="example")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    found: Task = task or ("regression" if values.dtype.kind == "f" else "classification")
    if found == "regression":
        values = values.astype(np.float64)
        if values.ndim > 2:
            raise DataError(
                f"{where}: a regression target must be a number or a vector, got shape {values.shape[1:]}"
            )
        return (values[:, None] if values.ndim == 1 else values), found
    if values.ndim != 1 or values.dtype.kind not in "biuf" or (values != np.round(values)).any():
        raise DataError(
            f"{where}: a label must be one whole number, got {values.dtype} of shape {values.shape[1:]};"
            " use y.argmax() for one-hot labels, or task = 'regression'"
        )
    return values.astype(np.int64), found


def _class_names(dataset: Part) -> tuple[str, ...] | None:
    names = getattr(dataset, "classes", None)
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None


def _check_data(data: Data, reference: str) -> None:
    for part in _PARTS:
        dataset = getattr(data, part)
        if not isinstance(dataset, Dataset) or not hasattr(dataset, "__len__") or len(dataset) == 0:
            raise DataError(
                f"factory {reference!r}: {part} of its Data must be a torch Dataset with examples"
            )
        x, y = _example(dataset, 0, f"{reference}, {part}")
        if tuple(x.shape) != tuple(data.input_shape):
            raise DataError(
                f"factory {reference!r}: its Data says input_shape {tuple(data.input_shape)}, but x of {part} is"
                f" {tuple(x.shape)}"
            )
        if data.task == "classification":
            check_labels(np.atleast_1d(y.numpy()), data.outputs, f"{reference}, {part}")
