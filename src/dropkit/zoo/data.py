"""What every loader returns: three disjoint parts of one data set, and what a model needs to know of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

Task = Literal["classification", "regression"]
Part = Dataset[Any]  # of (x, y) pairs


@dataclass(frozen=True, eq=False)
class Inputs:
    """How inputs were made from what was read: ``(read - offset) / scale``, as float32.

    Args:
        offset: Broadcasts to an input.
        scale: Broadcasts to an input.
        columns: Names of the columns of a table, in order, or None.
        target: Name of the column with the targets, or None.
    """

    offset: NDArray[Any]
    scale: NDArray[Any]
    columns: tuple[str, ...] | None = None
    target: str | None = None

    def of(self, read: NDArray[Any]) -> NDArray[np.float32]:
        """Return inputs from what was read, shape ``(N, *)``."""
        made: NDArray[np.float32] = ((read - self.offset) / self.scale).astype(np.float32)
        return made


@dataclass(frozen=True)
class Data:
    """A data set, split and ready for training.

    Args:
        name: What was asked for: a built-in name, a path, or ``"package.module:factory"``.
        task: ``"classification"`` or ``"regression"``.
        train: Pairs ``(x, y)``: ``x`` float32 of shape ``input_shape``; ``y`` an int64 label in
            ``[0, outputs)``, or float32 targets of shape ``(outputs,)``, standardised.
        val: Validation part, as ``train``; every choice is made on it.
        test: Test part, as ``train``; looked at once, at the end.
        input_shape: Shape of one ``x``, without the batch axis.
        outputs: Number of classes, or of target columns.
        class_names: Name of each class, or None (regression, or not known).
        target_mean: Mean taken off the regression targets, in their own unit; of the training part.
        target_std: Standard deviation they were divided by, in their own unit; of the training part.
        image: Whether ``x`` is an image, ``(C, H, W)``, to which image augmentation applies.
        inputs: How ``x`` came from what was read; None: it is what was read.
    """

    name: str
    task: Task
    train: Part
    val: Part
    test: Part
    input_shape: tuple[int, ...]
    outputs: int
    class_names: tuple[str, ...] | None = None
    target_mean: float = 0.0
    target_std: float = 1.0
    image: bool = False
    inputs: Inputs | None = field(default=None, compare=False, repr=False)
