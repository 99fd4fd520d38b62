"""How many sampled networks it takes to be as good as the weight-scaled one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dropkit.core import ConfigError, DataError, whole_number
from dropkit.infer.plain import plain_pass
from dropkit.infer.predicting import predict
from dropkit.infer.prediction import Prediction
from dropkit.random import child_seed

Metric = Literal["error", "nll", "rmse"]
_KS = (1, 2, 3, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class ScalingCurve:
    """Test error of averages of ``k`` sampled networks, and of the one weight-scaled pass.

    Attributes:
        ks: Numbers of networks that were averaged, rising.
        error: Mean error of such an average over its groups, one value for each ``k``.
        sd: Standard deviation over the groups (ddof = 1); NaN where there is one only.
        groups: Number of groups of ``k`` networks; no network is in two of them.
        scaled: Error of the pass with scaled weights.
        metric: What the error is: ``"error"`` (share of wrong classes), ``"nll"`` or ``"rmse"``.
    """

    ks: tuple[int, ...]
    error: tuple[float, ...]
    sd: tuple[float, ...]
    groups: tuple[int, ...]
    scaled: float
    metric: Metric

    @property
    def matching(self) -> int | None:
        """The smallest ``k`` whose mean error is at most that of weight scaling, or None."""
        return next((k for k, error in zip(self.ks, self.error, strict=True) if error <= self.scaled), None)


def scaling_curve(
    model: nn.Module,
    x: Any,
    y: Tensor | npt.ArrayLike,
    *,
    seed: int,
    ks: Iterable[int] = _KS,
    repetitions: int = 10,
    task: Literal["classification", "regression"] = "classification",
    outputs: Literal["logits", "probabilities"] = "logits",
    metric: Metric | None = None,
    share_masks: bool = False,
    **options: Any,
) -> ScalingCurve:
    """Compare Monte-Carlo averages of ``k`` networks with weight scaling.

    ``repetitions`` times as many members as the largest ``k`` are computed, each once, and cut into disjoint groups of
    ``k`` for every ``k``. The members of one repetition are held in memory.

    Args:
        model: Any module that a forward pass in training mode shows to be random; it is not touched.
        x: Its input, a tuple of inputs, or a ``DataLoader`` whose order is fixed.
        y: Targets: classes, shape ``(N,)``, or values of the output's shape.
        seed: Root of the masks.
        ks: Numbers of networks to average, each at least 1.
        repetitions: Number of groups of the largest ``k``, at least 1.
        task: What the model does.
        outputs: What a classifier returns.
        metric: ``"error"`` or ``"nll"`` (mean negative log-likelihood, in nats) of a classifier, ``"rmse"`` of a
            regression; None: the first of its kind.
        share_masks: False: fresh networks for every sample, as in the paper. True: a network is the same for all.
        options: Of :func:`dropkit.predict`: ``batch_dim``, ``mode``, ``memory``, keyword arguments of the forward.

    Raises:
        ConfigError: An argument makes no sense.
        DataError: The targets do not fit the outputs.

    Reference:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15 (2014), sec. 7.5
        and fig. 11.
    """
    counts = _checked_counts(ks)
    if whole_number(repetitions) is None or repetitions < 1:
        raise ConfigError(f"repetitions must be a whole number of at least 1, got {repetitions!r}")
    used = _checked_metric(metric, task)
    for name in ("members", "keep_members", "tolerance"):
        if name in options:
            raise ConfigError(f"{name} cannot be given: ks and repetitions decide which members are needed")
    y = torch.as_tensor(y)
    inputs = x if isinstance(x, tuple) else (x,)
    forward = {name: value for name, value in options.items() if name not in ("mode", "memory")}
    scaled = plain_pass(model, *inputs, **forward)
    if task == "classification" and outputs == "logits":
        scaled = scaled.softmax(-1)
    _check_target(scaled, y, task)
    errors: dict[int, list[float]] = {k: [] for k in counts}
    for repetition in range(repetitions):
        drawn = predict(
            model,
            *inputs,
            members=counts[-1],
            seed=child_seed(seed, f"repetition {repetition}"),
            share_masks=share_masks,
            task=task,
            outputs=outputs,
            keep_members=True,
            **options,
        )
        members = _members(drawn)
        for k in counts:
            for first in range(0, counts[-1] // k * k, k):
                errors[k].append(_error(members[first : first + k].double().mean(0), y, used))
    return ScalingCurve(
        ks=counts,
        error=tuple(float(np.mean(errors[k])) for k in counts),
        sd=tuple(float(np.std(errors[k], ddof=1)) if len(errors[k]) > 1 else math.nan for k in counts),
        groups=tuple(len(errors[k]) for k in counts),
        scaled=_error(scaled.double(), y, used),
        metric=used,
    )


def _checked_counts(ks: Iterable[int]) -> tuple[int, ...]:
    if not isinstance(ks, Iterable):
        raise ConfigError(f"ks must be whole numbers of at least 1, got {ks!r}")
    counts = sorted({whole_number(k) or 0 for k in ks})
    if not counts or counts[0] < 1:
        raise ConfigError(f"ks must be whole numbers of at least 1, got {list(ks)!r}")
    return tuple(counts)


def _checked_metric(metric: Metric | None, task: str) -> Metric:
    known: dict[str, tuple[Metric, ...]] = {"classification": ("error", "nll"), "regression": ("rmse",)}
    if task not in known:
        raise ConfigError(f"task must be 'classification' or 'regression', got {task!r}")
    if metric is not None and metric not in known[task]:
        raise ConfigError(f"metric of a {task} must be one of {', '.join(known[task])}, got {metric!r}")
    return known[task][0] if metric is None else metric


def _check_target(outputs: Tensor, y: Tensor, task: str) -> None:
    wanted = outputs.shape[:-1] if task == "classification" else outputs.shape
    if y.shape != wanted:
        raise DataError(f"y must have shape {tuple(wanted)}, got {tuple(y.shape)}")
    if task == "classification" and (
        y.is_floating_point() or y.numel() == 0 or not 0 <= int(y.min()) <= int(y.max()) < outputs.shape[-1]
    ):
        raise DataError(f"y must hold classes, whole numbers in 0 .. {outputs.shape[-1] - 1}")


def _members(drawn: Prediction | dict[str, Prediction]) -> Tensor:
    if isinstance(drawn, dict):
        raise DataError("the model must return one tensor, got a dict; wrap it")
    return drawn.members


def _error(mean: Tensor, y: Tensor, metric: Metric) -> float:
    if metric == "error":
        return float((mean.argmax(-1) != y).double().mean())
    if metric == "nll":
        return float(-mean.gather(-1, y.unsqueeze(-1)).log().mean())
    return float((mean - y).square().mean().sqrt())
