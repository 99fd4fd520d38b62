"""What a finished run says about examples: with scaled weights, and as an average over thinned networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dropkit.core import DataError
from dropkit.infer import ConformalIntervals, Prediction, predict
from dropkit.random import child_seed, stream
from dropkit.stats import classification_metrics, regression_metrics
from dropkit.study.reopen import Reopened

Floats = NDArray[np.float64]
# nll of a regression would take the variance that fits best on these very examples
_SHOWN = {True: ("accuracy", "nll", "brier", "ece"), False: ("rmse", "mae", "r2")}


@dataclass(frozen=True, eq=False)
class Sampled:
    """Predictions for ``N`` examples: of a classification probabilities ``(N, C)``, else values in their own unit.

    Args:
        plain: With scaled weights: one pass in eval mode.
        mean: Over thinned networks; None where none were asked for, as are the next four.
        variance: Across them, shaped like ``mean``.
        members: Their number.
        mode: How they were computed.
        entropy: Of a classification, ``(N,)``, in nats; else None.
        mutual_information: The same.
        target: Labels ``(N,)`` or targets ``(N, k)``, or None where unknown.
        drawn: What every thinned network says, ``(members, N, k)`` or ``(members, N, C)``, if it was kept; else None.
    """

    plain: Floats
    mean: Floats | None
    variance: Floats | None
    members: int
    mode: str | None
    entropy: Floats | None
    mutual_information: Floats | None
    target: NDArray[Any] | None
    drawn: Floats | None = None

    @property
    def standard_error(self) -> Floats | None:
        """Monte-Carlo standard error of ``mean``."""
        return None if self.variance is None else np.sqrt(self.variance / self.members)

    def metrics(self, which: Literal["plain", "mean"]) -> dict[str, float]:
        """Return metrics of one of the two on the examples, in the order in which they are shown.

        Raises:
            DataError: Labels or targets are not known.
        """
        values = self.plain if which == "plain" or self.mean is None else self.mean
        if self.target is None:
            raise DataError("metrics need labels or targets, which these examples do not have")
        classes = self.target.ndim == 1
        found = (classification_metrics if classes else regression_metrics)(values, self.target)
        return {name: found[name] for name in _SHOWN[classes]}


def sample(
    run: Reopened,
    part: Dataset[Any],
    *,
    members: int = 50,
    seed: int | None = None,
    share_masks: bool = True,
    mode: Literal["auto", "vmap", "expand", "loop"] = "auto",
    keep_members: bool = False,
) -> Sampled:
    """Return what a run says about the examples of ``part``.

    Args:
        run: Open.
        part: Of pairs ``(x, y)``, or of ``(x,)``.
        members: Thinned networks; 0: scaled weights alone.
        seed: Root of the masks; None: a child of the run's seed.
        share_masks: As for :func:`dropkit.predict`.
        mode: As for :func:`dropkit.predict`.
        keep_members: Whether ``drawn`` is wanted.

    Raises:
        InputError: As for :func:`dropkit.predict`.
    """
    data, batch = run.data, run.config.train_config().eval_batch
    loader = DataLoader(part, batch_size=batch)
    classes = data.task == "classification"
    plain, target = [], []
    with torch.inference_mode(), stream(child_seed(run.seed, "test")):
        for found in loader:
            plain.append(run.model(found[0]))
            if len(found) > 1:
                target.append(found[1])
    outputs = torch.cat(plain)
    if not bool(outputs.isfinite().all()):
        raise DataError(f"the outputs of run {run.name} are not all finite; look for NaN in the inputs")
    drawn = None
    if members:
        seed = child_seed(run.seed, "predict") if seed is None else seed
        drawn = cast(
            Prediction,
            predict(
                run.model,
                loader,
                members=members,
                seed=seed,
                share_masks=share_masks,
                task=data.task,
                mode=mode,
                keep_members=keep_members,
            ),
        )
    std, mean = (1.0, 0.0) if classes else (data.target_std, data.target_mean)
    return Sampled(
        plain=_array(outputs.double().log_softmax(1).exp() if classes else outputs) * std + mean,
        mean=None if drawn is None else _array(drawn.mean) * std + mean,
        variance=None if drawn is None else _array(drawn.variance) * std**2,
        members=members,
        mode=None if drawn is None else drawn.mode,
        entropy=_array(drawn.entropy) if drawn is not None and classes else None,
        mutual_information=_array(drawn.mutual_information) if drawn is not None and classes else None,
        target=_target(target, classes, std, mean),
        drawn=_array(drawn.members) * std + mean if drawn is not None and keep_members else None,
    )


def intervals(fitted: Sampled, found: Sampled, level: float) -> tuple[Floats, Floats]:
    """Return conformal intervals for the targets of ``found``, lower and upper ends ``(N, k)``.

    Widths follow ``sqrt(variance + noise)``, noise being the mean squared residual of ``fitted`` in that column.

    Args:
        fitted: What the run says about examples that it was not trained on, with targets.
        found: What it says about the examples in question.
        level: Share of targets inside, in (0, 1).
    """
    if fitted.mean is None or fitted.variance is None or found.mean is None or found.variance is None:
        raise DataError("intervals need members; sample with members of at least 2")
    ends = []
    for k in range(fitted.mean.shape[1]):
        target = np.asarray(fitted.target)[:, k]
        noise = max(float(np.square(target - fitted.mean[:, k]).mean()), np.finfo(np.float64).tiny)
        scales = [np.sqrt(part[:, k] + noise) for part in (fitted.variance, found.variance)]
        conformal = ConformalIntervals(level).fit(fitted.mean[:, k], target, scales[0])
        ends.append(conformal.intervals(found.mean[:, k], scales[1]))
    return np.column_stack([low for low, _ in ends]), np.column_stack([high for _, high in ends])


def _array(values: Tensor) -> Floats:
    return values.double().cpu().numpy()


def _target(batches: list[Tensor], classes: bool, std: float, mean: float) -> NDArray[Any] | None:
    if not batches:
        return None
    whole = torch.cat(batches).numpy()
    if classes:
        return whole.astype(np.int64)
    precision = std * float(np.spacing(np.float32(max(1.0, np.abs(whole).max()))))
    return np.round(whole.astype(np.float64) * std + mean, -math.ceil(math.log10(precision)))
