"""What a model returned, as tensors by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from dropkit.core import DataError
from dropkit.infer.prediction import Prediction, Task, joined
from dropkit.stats.inputs import SUM_TOLERANCE

ALONE = "output"  # name of a tensor that is all that a model returns
_SLACK = 1e-2  # by which probabilities of a model in half precision may be off
HEADS = ("mean", "log_variance")  # of a regression that says how noisy its observations are


class Finish:
    """Turns what a model returns into a dict of tensors: a pair of a regression is a mean and a log variance.

    Args:
        task: ``"classification"``: probabilities are wanted.
        outputs: What a classifier returns.

    Attributes:
        task: As given.
        alone: Whether the last output was a tensor, known as ``ALONE`` in the dict.
    """

    def __init__(self, task: Task | None, outputs: str) -> None:
        self.task = task
        self.alone = False
        self._regression = task == "regression"
        self._classes = task == "classification"
        self._softmax = task == "classification" and outputs == "logits"

    def check(self, values: Tensor) -> None:
        """Raise ``DataError`` where values that the model calls probabilities are none; not for use under vmap."""
        if self._classes and not self._softmax:
            check_classes(values)

    def doubt(self, value: Any) -> None:
        """Warn where what a forward pass returned are no logits, as it was said, but probabilities."""
        for item in tree_leaves(value) if self._softmax else ():
            if isinstance(item, Tensor) and item.is_floating_point() and item.ndim > 1 and item.numel():
                sums = item.double().sum(-1)
                if bool((item >= 0).all()) and bool(((sums - 1.0).abs() < SUM_TOLERANCE).all()):
                    warnings.warn(
                        "the model's outputs are above 0 and sum to 1 like probabilities, and are taken for logits; if "
                        "they are probabilities say outputs='probabilities'",
                        stacklevel=2,
                    )

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
            if item.ndim == 0:
                raise DataError(
                    f"output {name!r} of the model is one number for the whole batch; return a value for each sample, "
                    "or leave out what makes it, such as the labels of a loss"
                )
            if self._classes and (item.ndim < 2 or item.shape[-1] < 2):
                raise DataError(
                    f"output {name!r} of the model has shape {tuple(item.shape)}, and a classification needs a column "
                    "for each class in the last axis; for two classes give two columns, of one logit z "
                    "torch.cat((0 * z, z), -1), or leave task out"
                )
            found[str(name)] = item.softmax(-1) if self._softmax else item
        if not found:
            raise DataError("the model returns no tensor")
        return found


def axis_of(name: str, shapes: Sequence[Sequence[int]], axis: int, lengths: Sequence[int]) -> int:
    """Return the axis that output ``name`` of several batches has its samples along: ``axis``, or else the first.

    Args:
        name: For the error.
        shapes: Of the output, for each batch.
        axis: Of the batch in the inputs.
        lengths: Of the batches.

    Raises:
        DataError: There is none.
    """
    for found in (axis, 0):
        if all(
            found < len(shape) and shape[found] == length
            for shape, length in zip(shapes, lengths, strict=True)
        ):
            return found
    raise DataError(
        f"output {name!r} of the model has no axis of samples along which batches could be joined: shapes "
        f"{', '.join(str(tuple(shape)) for shape in shapes[:3])} of batches of {', '.join(map(str, lengths[:3]))}; "
        "return a value for each sample"
    )


def whole_of(name: str, parts: list[Prediction], axis: int, lengths: Sequence[int]) -> Prediction:
    """Return what is said of output ``name`` of all samples, from what is said of batches; see :func:`axis_of`."""
    if len(parts) == 1:
        return parts[0]
    return joined(parts, axis_of(name, [part.mean.shape for part in parts], axis, lengths))


def check_classes(values: Tensor) -> None:
    """Raise ``DataError`` unless the last axis holds probabilities of classes."""
    if bool(((values < -_SLACK) | (values > 1 + _SLACK)).any()):
        raise DataError(
            f"outputs='probabilities' must be in [0, 1], got {float(values.min()):.3g} to "
            f"{float(values.max()):.3g}; of a model that returns logits say outputs='logits'"
        )
    sums = values.sum(-1, dtype=torch.float64)
    if bool(((sums - 1).abs() > _SLACK).any()):
        raise DataError(
            "outputs='probabilities' must sum to 1 over the classes, the last axis, got "
            f"{float(sums.min()):.3g} to {float(sums.max()):.3g}; of several questions of two answers each leave "
            "task out"
        )
