"""From a model's outputs on a whole part of the data to its metrics."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from dropkit.stats import LARGER_IS_BETTER, classification_metrics, regression_metrics

Task = Literal["classification", "regression"]


def metrics(outputs: Tensor, targets: Tensor, task: Task, mean: float, std: float) -> dict[str, float]:
    """Return the scalar metrics of ``task``, computed in float64.

    ``loss`` is what training minimises, without smoothing and regularisers: the cross-entropy in nats, or the mean
    squared error in standardised units. The others are those of ``dropkit.stats``; for regression in original units,
    ``value * std + mean``.

    Args:
        outputs: Finite logits ``(N, C)``, or predictions shaped like ``targets``.
        targets: Labels ``(N,)``, or standardised values.
        task: ``"classification"`` or ``"regression"``.
        mean: Added to standardised regression values to get original ones.
        std: Original units a standardised unit, ``> 0``.
    """
    outputs = outputs.double()
    if task == "classification":
        log_p = F.log_softmax(outputs, dim=1)
        labels = targets.long()
        found = {"loss": float(F.nll_loss(log_p, labels))}
        return found | classification_metrics(log_p.exp().numpy(), labels.numpy())
    targets = targets.double()
    found = {"loss": float(F.mse_loss(outputs, targets))}
    return found | regression_metrics((outputs * std + mean).numpy(), (targets * std + mean).numpy())


def larger_is_better(name: str) -> bool:
    """Whether a larger value of the metric is the better one."""
    return name != "loss" and LARGER_IS_BETTER[name]


@cache
def metric_names(task: Task) -> tuple[str, ...]:
    """Return the names of the metrics of ``task``."""
    if task == "classification":
        return tuple(metrics(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]), task, 0.0, 1.0))
    return tuple(metrics(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]]), task, 0.0, 1.0))
