"""Metrics of a model on a dataset, leaving the model as it was."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dropkit.core import DataError
from dropkit.stats import per_class
from dropkit.train.check import call, check_labels, check_outputs, check_task
from dropkit.train.metrics import Task, metrics
from dropkit.train.samples import Samples, samples
from dropkit.train.values import real, whole
from dropkit.train.weights import device_of, evaluating


def outputs_of(model: nn.Module, part: Samples, batch: int) -> tuple[Tensor, Tensor]:
    """Return the model's outputs in evaluation mode, and the targets, for all samples in order, on the CPU."""
    device = device_of(model)
    outputs, targets = [], []
    with evaluating(model):
        for numbers in torch.split(torch.arange(len(part)), batch):
            x, y = part.take(numbers)
            outputs.append(model(x.to(device)).cpu())
            targets.append(y.cpu())
    return torch.cat(outputs), torch.cat(targets)


def evaluate(
    model: nn.Module,
    dataset: Dataset[Any],
    *,
    task: Task,
    batch: int,
    target_mean: float = 0.0,
    target_std: float = 1.0,
) -> dict[str, Any]:
    """Return the metrics of ``model`` on ``dataset`` in evaluation mode.

    Train/eval flags, buffers and global generators are afterwards as before.

    Args:
        model: Maps inputs ``(N, *)`` to logits ``(N, C)``, or to predictions shaped like the targets.
        dataset: Pairs of input and target: a label in ``0 .. C - 1``, or standardised values.
        task: ``"classification"`` or ``"regression"``.
        batch: Samples at a time, ``>= 1``.
        target_mean: Mean that was subtracted from regression targets.
        target_std: Standard deviation, ``> 0``, that they were then divided by; metrics are in original units.

    Returns:
        ``loss`` (cross-entropy in nats, or mean squared error in standardised units), the metrics of
        ``dropkit.stats`` by name, and for classification ``per_class``.

    Raises:
        DataError: no samples, a label out of range, or outputs that are not finite.
        ShapeError: the model does not fit the data.
    """
    check_task(task)
    whole("batch", batch, low=1)
    real("target_mean", target_mean)
    real("target_std", target_std, low=0.0, open_low=True)
    part = samples(dataset, "the dataset")
    x, y = part.take(torch.arange(min(2, len(part))))
    check_outputs(call(model, x), x, y, task)
    outputs, targets = outputs_of(model, part, batch)
    if not bool(outputs.isfinite().all()):
        raise DataError(
            "the model's outputs are not all finite; look for NaN in the inputs or diverged weights"
        )
    if task == "regression":
        return dict(metrics(outputs, targets, task, target_mean, target_std))
    check_labels(part.part, targets, 0, outputs.shape[1])
    found: dict[str, Any] = dict(metrics(outputs, targets, task, target_mean, target_std))
    found["per_class"] = per_class(outputs.double().softmax(1).numpy(), targets.long().numpy())
    return found
