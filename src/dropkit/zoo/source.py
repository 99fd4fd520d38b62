"""Examples as they were read, before any is assigned to a part, and the step from there to ``Data``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from dropkit.core import DataError
from dropkit.zoo.data import Data, Inputs, Part, Task
from dropkit.zoo.split import Parts

Array = NDArray[Any]


@dataclass(frozen=True)
class Source:
    """All examples of a data set, in one row order, and what is known of them.

    Args:
        name: Name or path it was asked for by; begins every error text.
        task: ``"classification"`` or ``"regression"``.
        x: Inputs, ``(N, *input_shape)``; or a ``Dataset`` that yields pairs ``(x, y)``.
        y: Labels, int64 ``(N,)``, or targets, float64 ``(N, k)``, in their own unit.
        outputs: Number of classes, or ``k``.
        class_names: Name of each class, or None.
        sizes: How many rows, from the first on, come as (training, validation, test) part; 0: no such part.
        scaling: Number that ``x`` is divided by, or ``"standardise"``: each column to mean 0 and variance 1 in
            the training part.
        image: Whether ``x`` holds images ``(C, H, W)``.
        val: Validation part used where none is asked for, as a count or a fraction.
        test: Test part used where none is asked for, as a count or a fraction.
        columns: Names of the columns of ``x``, where it is a table that has them.
        target: Name of the column of ``y``, where it has one.
    """

    name: str
    task: Task
    x: Array | Part
    y: Array
    outputs: int
    class_names: tuple[str, ...] | None
    sizes: tuple[int, int, int]
    scaling: float | Literal["standardise"] = 1.0
    image: bool = False
    val: int | float = 0.2
    test: int | float = 0.2
    columns: tuple[str, ...] | None = None
    target: str | None = None


def assemble(source: Source, parts: Parts) -> Data:
    """Return the parts of ``source`` as tensors; whatever is estimated is estimated on the training part.

    Raises:
        DataError: the training part holds a single class, or a target that never changes.
    """
    mean, std = 0.0, 1.0
    targets = source.y[parts.train]
    if source.task == "classification":
        if len(np.unique(targets)) < 2:
            raise DataError(
                f"{source.name}: the training part has a single class (label {targets[0]}), at least 2 are needed;"
                " check the target, or keep more examples"
            )
        y = torch.from_numpy(source.y.astype(np.int64))
    else:
        mean, std = float(targets.mean()), float(targets.std())
        if targets.min() == targets.max():
            raise DataError(
                f"{source.name}: the target is {mean:g} in the whole training part, so there is nothing to learn;"
                " check the target"
            )
        y = torch.from_numpy(((source.y - mean) / std).astype(np.float32))

    inputs = None
    if isinstance(source.x, np.ndarray):
        inputs = _inputs(source, source.x, parts)
        train, val, test = _from_array(source.x, inputs, y, parts)
    else:
        train, val, test = _from_dataset(source.x, y, parts)
    return Data(
        name=source.name,
        task=source.task,
        train=train,
        val=val,
        test=test,
        input_shape=tuple(train[0][0].shape),
        outputs=source.outputs,
        class_names=source.class_names,
        target_mean=mean,
        target_std=std,
        image=source.image,
        inputs=inputs,
    )


def _inputs(source: Source, x: Array, parts: Parts) -> Inputs:
    offset: Array = np.zeros((), np.float32)
    if source.scaling == "standardise":
        train = x[parts.train].astype(np.float64)
        constant = train.max(axis=0) == train.min(axis=0)  # its computed deviation may be 1e-17 instead of 0
        offset = np.where(constant, train[0], train.mean(axis=0))
        scale = np.where(constant, 1.0, train.std(axis=0))
    else:
        scale = np.array(source.scaling, np.float32)  # float32: an image set must not pass through float64
    return Inputs(offset, scale, source.columns, source.target)


def _from_array(x: Array, inputs: Inputs, y: Tensor, parts: Parts) -> list[Part]:
    made: list[Part] = []
    for index in (parts.train, parts.val, parts.test):
        made.append(TensorDataset(torch.from_numpy(inputs.of(x[index])), y[torch.from_numpy(index)]))
    return made


def _from_dataset(dataset: Part, y: Tensor, parts: Parts) -> list[Part]:
    examples = Examples(dataset, y)
    return [Subset(examples, index.tolist()) for index in (parts.train, parts.val, parts.test)]


class Examples(Dataset[tuple[Tensor, Tensor]]):
    """A user's dataset with inputs as float32 and with targets that were read and checked before."""

    def __init__(self, dataset: Part, y: Tensor) -> None:
        self.dataset, self.y = dataset, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = torch.as_tensor(self.dataset[index][0], dtype=torch.float32)
        return x, self.y[index]
