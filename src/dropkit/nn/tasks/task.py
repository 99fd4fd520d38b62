"""Which task a call is for: one for the whole batch, or one a row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import DtypeError, OptionError, ShapeError
from dropkit.random.draw import can_branch_on_data


class TaskError(OptionError, IndexError):
    """There is no task of that number, or none was given."""


class Task:
    """An attribute that holds the number of the task that calls are for where they name none, or None."""

    def __get__(self, module: nn.Module, owner: type) -> int | None:
        """Return the number that was set."""
        task: int | None = module.__dict__["_task"]
        return task

    def __set__(self, module: nn.Module, task: int | None) -> None:
        """Check the number and keep it."""
        if task is not None:
            _check_number(task, module.tasks)  # type: ignore[arg-type]
        module.__dict__["_task"] = task


def check_count(name: str, value: int) -> int:
    """Return ``value`` if it is a positive int, else raise ``OptionError`` naming it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} must be a positive int, got {value!r}")
    return value


def for_task(name: str, rows: Tensor, task: int | Tensor | None, x: Tensor) -> Tensor:
    """Return the row of ``rows``, shape ``(tasks, units)``, that belongs to each row of ``x``, shape ``(N, units, *)``.

    Args:
        name: Of the variant, for the texts of errors.
        rows: A row for each task.
        task: Number of the task, or one number a row of ``x``, shape ``(N,)``.
        x: What the result multiplies or selects; it broadcasts to its shape.

    Raises:
        TaskError: There is no such task, or ``task`` is None.
        ShapeError: The shapes do not fit together.
        DtypeError: ``task`` is a tensor of something else than whole numbers, or ``x`` not floating point.
    """
    tasks, units = rows.shape
    if not x.is_floating_point():
        raise DtypeError(f"{name} needs a floating-point tensor, got {x.dtype}")
    if x.ndim < 2 or x.shape[1] != units:
        raise ShapeError(f"{name} needs shape (N, {units}, *), got {tuple(x.shape)}")
    if task is None:
        raise TaskError(f"{name} needs a task: pass task= with the input, or set the attribute task")
    if isinstance(task, Tensor):
        if task.is_floating_point() or task.dtype == torch.bool:
            raise DtypeError(f"task must hold whole numbers, got a tensor of {task.dtype}")
        if task.shape != x.shape[:1]:
            raise ShapeError(f"task must have shape {tuple(x.shape[:1])}, one a row, got {tuple(task.shape)}")
        if can_branch_on_data(task.device) and bool(((task < 0) | (task >= tasks)).any()):
            raise TaskError(f"task must be in [0, {tasks}), got a tensor with {task.min()} to {task.max()}")
        chosen = rows[task.to(rows.device, torch.int64)]
    else:
        _check_number(task, tasks)
        chosen = rows[task].unsqueeze(0)
    return chosen.view(*chosen.shape, *[1] * (x.ndim - 2))


def _check_number(task: int, tasks: int) -> None:
    if isinstance(task, bool) or not isinstance(task, int) or not 0 <= task < tasks:
        raise TaskError(f"task must be an int in [0, {tasks}), got {task!r}")
