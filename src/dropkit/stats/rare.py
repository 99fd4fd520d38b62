"""Rare events: where to put the threshold, and what it costs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dropkit.core import DataError
from dropkit.stats.detection import average_precision
from dropkit.stats.inputs import Floats, as_array, as_floats, check_positive, check_threshold
from dropkit.stats.resampling import Estimate, stratified_interval


class Threshold(NamedTuple):
    """A decision rule "positive if the score is at least ``value``", and how it did where it was chosen.

    Args:
        value: The threshold; infinite if it is best to call nothing positive.
        recall: Share of the positives called positive.
        precision: Share of those called positive that are; NaN if none is called so.
        cost: Mean cost a case.
    """

    value: float
    recall: float
    precision: float
    cost: float


def recall_at_precision(scores: npt.ArrayLike, labels: npt.ArrayLike, precision: float) -> float:
    """Return the largest recall of a threshold whose precision is at least ``precision``; 0 if there is none.

    Args:
        scores: Shape ``(N,)``, larger means more likely positive.
        labels: 0 or 1, shape ``(N,)``, with at least one 1.
        precision: In (0, 1].

    Raises:
        DataError: Bad shapes, labels or precision.
    """
    if not 0.0 < precision <= 1.0:
        raise DataError(f"precision must be in (0, 1], got {precision!r}")
    found, said, _, positives, _ = _thresholds(scores, labels)
    fine = found / said >= precision
    return float((found[fine] / positives).max(initial=0.0))


def expected_cost(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    threshold: float,
    *,
    false_negative: float,
    false_positive: float = 1.0,
) -> float:
    """Return the mean cost a case of calling positive what scores at least ``threshold``.

    Args:
        scores: Shape ``(N,)``.
        labels: 0 or 1, shape ``(N,)``.
        threshold: The least score that is called positive.
        false_negative: Cost of a missed positive, above 0.
        false_positive: Cost of a false alarm, above 0.
    """
    costs = case_costs(
        scores, labels, threshold, false_negative=false_negative, false_positive=false_positive
    )
    return float(costs.mean())


def case_costs(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    threshold: float,
    *,
    false_negative: float,
    false_positive: float = 1.0,
) -> Floats:
    """Return what each case costs if those that score at least ``threshold`` are called positive, shape ``(N,)``.

    Args:
        scores: Shape ``(N,)``.
        labels: 0 or 1, shape ``(N,)``.
        threshold: The least score that is called positive.
        false_negative: Cost of a missed positive, above 0.
        false_positive: Cost of a false alarm, above 0.
    """
    s, y = _checked(scores, labels)
    miss, alarm = (
        check_positive(false_negative, "false_negative"),
        check_positive(false_positive, "false_positive"),
    )
    said = s >= check_threshold(threshold)
    return np.where(y & ~said, miss, np.where(said & ~y, alarm, 0.0))


def choose_threshold(
    scores: npt.ArrayLike, labels: npt.ArrayLike, *, false_negative: float, false_positive: float = 1.0
) -> Threshold:
    """Return the threshold of least expected cost. Choose it on validation data, and report it on test data.

    Args:
        scores: Shape ``(N,)``, larger means more likely positive.
        labels: 0 or 1, shape ``(N,)``, with at least one 1.
        false_negative: Cost of a missed positive, above 0.
        false_positive: Cost of a false alarm, above 0.

    Returns:
        Threshold: the highest of the best ones, so that equal costs mean fewer alarms.

    Raises:
        DataError: Bad shapes, labels or costs.
    """
    miss, alarm = (
        check_positive(false_negative, "false_negative"),
        check_positive(false_positive, "false_positive"),
    )
    found, said, value, positives, cases = _thresholds(scores, labels)
    costs = (miss * (positives - found) + alarm * (said - found)) / cases
    nothing = miss * positives / cases
    best = int(np.argmin(costs))
    if nothing <= costs[best]:
        return Threshold(float("inf"), 0.0, float("nan"), float(nothing))
    return Threshold(
        float(value[best]),
        float(found[best] / positives),
        float(found[best] / said[best]),
        float(costs[best]),
    )


def rare_event_intervals(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    threshold: float,
    false_negative: float,
    false_positive: float = 1.0,
    precision: float = 0.5,
    alpha: float = 0.05,
    resamples: int = 1999,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return the measures of a rare event with their intervals, positives and negatives resampled apart.

    Args:
        scores: Shape ``(N,)``, larger means more likely positive, on test data.
        labels: 0 or 1, shape ``(N,)``, with both.
        threshold: As chosen on other data; the intervals take it as given.
        false_negative: Cost of a missed positive, above 0.
        false_positive: Cost of a false alarm, above 0.
        precision: Of ``recall_at_precision``, in (0, 1].
        alpha: 1 - nominal coverage, in (0, 1).
        resamples: Their number.
        seed: Of the resamples; no global generator is touched.

    Returns:
        ``{"average_precision": (value, low, high), "recall_at_precision": ..., "expected_cost": ..., "recall": ...}``,
        the last at ``threshold``. See :func:`stratified_interval` for what they leave out.

    Raises:
        DataError: Bad shapes, labels, costs or precision.
    """
    s, y = _checked(scores, labels)
    if y.all():
        raise DataError("labels hold no negative case; precision and cost of an alarm are unknown")
    measures: dict[str, Callable[..., float]] = {
        "average_precision": lambda s, y: average_precision(s[y], s[~y]),
        "recall_at_precision": lambda s, y: recall_at_precision(s, y, precision),
        "expected_cost": lambda s, y: expected_cost(
            s, y, threshold, false_negative=false_negative, false_positive=false_positive
        ),
        "recall": lambda s, y: float((s[y] >= threshold).mean()),
    }
    return {
        name: stratified_interval(measure, s, y, strata=y, alpha=alpha, resamples=resamples, seed=seed)
        for name, measure in measures.items()
    }


def _thresholds(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Floats, Floats, int, int]:
    """Return positives found, cases called positive and the threshold, for every threshold from the highest down."""
    s, y = _checked(scores, labels)
    order = np.argsort(-s, kind="stable")
    ordered, hits = s[order], np.cumsum(y[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(s) - 1)
    return hits[last].astype(float), last + 1.0, ordered[last], int(y.sum()), len(s)


def _checked(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    s, y = as_floats(scores, "scores"), as_array(labels, "labels")
    if s.ndim != 1 or s.shape != y.shape:
        raise DataError(f"scores and labels must both have shape (N,), got {s.shape} and {y.shape}")
    if not np.isin(y, (0, 1)).all():
        raise DataError("labels must be 0 or 1, 1 for the rare event")
    if not y.any():
        raise DataError("labels hold no positive case; recall and cost of missing one are unknown")
    return s, y.astype(bool)
