"""What a model returned, as tensors by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dropkit.core import DataError
from dropkit.infer.prediction import Task

ALONE = "output"  # name of a tensor that is all that a model returns
HEADS = ("mean", "log_variance")  # of a regression that says how noisy its observations are


class Finish:
    """Turns what a model returns into a dict of tensors: a pair of a regression is a mean and a log variance.

    Args:
        task: ``"classification"``: probabilities are wanted.
        outputs: What a classifier returns.

    Attributes:
        alone: Whether the last output was a tensor, known as ``ALONE`` in the dict.
    """

    def __init__(self, task: Task | None, outputs: str) -> None:
        self.alone = False
        self._regression = task == "regression"
        self._classes = task == "classification"
        self._softmax = task == "classification" and outputs == "logits"

    def __call__(self, value: Any) -> dict[str, Tensor]:
        """Return the tensors of ``value`` by name, or raise ``DataError``."""
        self.alone = isinstance(value, Tensor)
        named = {ALONE: value} if self.alone else value
        if self._regression and isinstance(value, tuple) and len(value) == len(HEADS):
            named = dict(zip(HEADS, value, strict=True))
        if not isinstance(named, Mapping):
            raise DataError(
                f"the model must return a tensor or a dict of tensors, got a {type(value).__name__}; wrap it in a "
                "module that does"
            )
        found = {}
        for name, item in named.items():
            if item is None:
                continue
            if not isinstance(item, Tensor) or not item.is_floating_point():
                kind = f"a tensor of {item.dtype}" if isinstance(item, Tensor) else f"a {type(item).__name__}"
                raise DataError(
                    f"output {name!r} of the model is {kind}, not a floating-point tensor; switch it off, or wrap "
                    "the model"
                )
            if self._classes and (item.ndim < 2 or item.shape[-1] < 2):
                raise DataError(
                    f"output {name!r} of the model has shape {tuple(item.shape)}, and a classification needs a column "
                    "for each class in the last axis; for two classes give two columns, or leave task out"
                )
            found[str(name)] = item.softmax(-1) if self._softmax else item
        if not found:
            raise DataError("the model returns no tensor")
        return found
