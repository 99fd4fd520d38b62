"""Everything that can be known to be wrong before the first step, found before the first step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dropkit.core import ConfigError, DataError, InputError, ShapeError
from dropkit.train.config import TrainConfig
from dropkit.train.metrics import Task, metric_names
from dropkit.train.samples import Samples
from dropkit.train.values import one_of
from dropkit.train.weights import device_of, evaluating


def check_task(task: object) -> None:
    """Raise ``ConfigError`` unless ``task`` is a known one."""
    one_of("task", task, ("classification", "regression"))


def check_run(model: nn.Module, train: Samples, val: Samples, config: TrainConfig, task: Task) -> None:
    """Check settings against task, model and data, the model against the data, and every sample.

    Reads all samples once. The model is called once, on at most two samples, in evaluation mode.

    Raises:
        ConfigError: a setting does not fit the task or the model.
        DataError: too few samples, unusable values or labels.
        ShapeError: model, inputs and targets do not fit each other.
    """
    if config.label_smoothing and task != "classification":
        raise ConfigError(
            f"label_smoothing is for classification, got {config.label_smoothing!r} with {task}"
        )
    if config.monitor not in metric_names(task):
        raise ConfigError(f"monitor must be one of {', '.join(metric_names(task))}, got {config.monitor!r}")
    if len(train) < config.batch:
        raise DataError(
            f"train has {len(train)} samples, fewer than one batch of {config.batch}; lower batch"
        )
    if config.batch == 1 and any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise ConfigError("batch = 1 cannot train a model with batch normalisation; set batch to 2 or more")
    x, y = train.take(torch.arange(min(2, len(train))))
    _check_images(x, config)
    outputs = call(model, x)
    check_outputs(outputs, x, y, task)
    for part in (train, val):
        _check_samples(part, x, outputs, task, config.eval_batch)


def call(model: nn.Module, x: Tensor) -> Tensor:
    """Return the model's outputs for ``x`` in evaluation mode; ``ShapeError`` if it does not accept ``x``."""
    with evaluating(model):
        try:
            outputs = model(x.to(device_of(model)))
        except InputError:
            raise  # a message for the user already
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ShapeError(
                f"the model does not accept inputs of shape {_shape(x)}, {x.dtype} ({reason})"
            ) from error
    if not isinstance(outputs, Tensor):
        raise ShapeError(
            f"the model must return one tensor, got {type(outputs).__name__}; wrap it so that it does"
        )
    return outputs


def check_outputs(outputs: Tensor, x: Tensor, y: Tensor, task: Task) -> None:
    """Raise ``ShapeError`` or ``DataError`` unless outputs and targets of one batch suit the task."""
    count = len(x)
    if task == "classification":
        if outputs.ndim != 2 or len(outputs) != count or outputs.shape[1] < 2:
            raise ShapeError(
                f"the model must give one logit a class, shape ({count}, classes) with classes >= 2, for {count} "
                f"samples, got {_shape(outputs)}"
            )
        if y.ndim != 1:
            raise ShapeError(f"labels must be one whole number a sample, got targets of shape {_shape(y)}")
        if y.is_floating_point() or y.is_complex():
            raise DataError(f"labels must be whole numbers, got {y.dtype}; convert them to int64")
        return
    if y.ndim not in (1, 2):
        raise ShapeError(
            f"regression targets must be one value or one row of values a sample, got {_shape(y)}"
        )
    if outputs.shape != y.shape or len(outputs) != count:
        raise ShapeError(
            f"the model's outputs must have the shape of the targets, {_shape(y)}, got {_shape(outputs)}"
        )
    if not y.is_floating_point():
        raise DataError(f"regression targets must be floating point, got {y.dtype}; convert them to float32")


def check_labels(part: str, y: Tensor, first: int, classes: int) -> None:
    """Raise ``DataError`` unless all labels are in ``0 .. classes - 1``; ``first`` is the number of the first."""
    wrong = ((y < 0) | (y >= classes)).nonzero()
    if len(wrong):
        at = int(wrong[0])
        raise DataError(
            f"{part}: labels must be in 0 .. {classes - 1}, as the model has {classes} outputs, got {int(y[at])} at "
            f"sample {first + at}"
        )


def _check_samples(part: Samples, x0: Tensor, outputs: Tensor, task: Task, size: int) -> None:
    for numbers in torch.split(torch.arange(len(part)), size):
        x, y = part.take(numbers)
        first = int(numbers[0])
        if x.shape[1:] != x0.shape[1:] or x.dtype != x0.dtype:
            raise ShapeError(
                f"{part.part}: all inputs must be like the first of train, shape {_shape(x0[0])} {x0.dtype}, got "
                f"{_shape(x[0])} {x.dtype} at sample {first}"
            )
        _check_finite(part.part, "an input", x, first)
        check_outputs(outputs[:1].expand(len(x), *outputs.shape[1:]), x, y, task)
        if task == "classification":
            check_labels(part.part, y, first, outputs.shape[1])
        else:
            _check_finite(part.part, "a target", y, first)


def _check_finite(part: str, what: str, values: Tensor, first: int) -> None:
    if values.is_floating_point() and not bool(values.isfinite().all()):
        bad = int((~values.isfinite()).reshape(len(values), -1).any(1).nonzero()[0])
        raise DataError(f"{part}: sample {first + bad} has {what} that is NaN or infinite; mend or remove it")


def _check_images(x: Tensor, config: TrainConfig) -> None:
    if not config.augment:
        return
    if x.ndim != 4 or not x.is_floating_point():
        raise ShapeError(
            f"augment needs floating point images (samples, channels, height, width), got inputs of shape {_shape(x)}, "
            f"{x.dtype}"
        )
    for step in config.augmentations:
        step.fits(x.shape[2], x.shape[3])


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
