"""Early stopping: when to give up, and the weights to go back to."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from dropkit.train.weights import snapshot


class EarlyStopping:
    """Keep the weights of the best epoch; a tie counts as no improvement.

    Args:
        patience: Epochs without improvement after which to stop.
        larger_is_better: Direction of the watched metric.
    """

    def __init__(self, patience: int, larger_is_better: bool) -> None:
        self.patience = patience
        self.sign = -1.0 if larger_is_better else 1.0
        self.best: float | None = None
        self.best_epoch = 0
        self.weights: dict[str, Tensor] = {}
        self.stale = 0

    @property
    def exhausted(self) -> bool:
        """Whether training should stop."""
        return self.stale >= self.patience

    def look(self, epoch: int, value: float, model: nn.Module) -> None:
        """Take note of the metric after ``epoch``."""
        if self._improves(value):
            self.best, self.best_epoch, self.stale = value, epoch, 0
            self.weights = snapshot(model)
        else:
            self.stale += 1

    def _improves(self, value: float) -> bool:
        if self.best is None or math.isnan(self.best) > math.isnan(value):
            return True
        return self.sign * value < self.sign * self.best

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be in a checkpoint."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "weights": self.weights,
            "stale": self.stale,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.weights, self.stale = state["weights"], state["stale"]
