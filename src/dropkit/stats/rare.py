"""Rare events: where to put the threshold, and what it costs."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dropkit.core import DataError
from dropkit.stats.inputs import Floats, as_floats, check_positive


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
    s, y = _checked(scores, labels)
    miss, alarm = (
        check_positive(false_negative, "false_negative"),
        check_positive(false_positive, "false_positive"),
    )
    said = s >= threshold
    return float(miss * (y & ~said).mean() + alarm * (said & ~y).mean())


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


def _thresholds(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Floats, Floats, int, int]:
    """Return positives found, cases called positive and the threshold, for every threshold from the highest down."""
    s, y = _checked(scores, labels)
    order = np.argsort(-s, kind="stable")
    ordered, hits = s[order], np.cumsum(y[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(s) - 1)
    return hits[last].astype(float), last + 1.0, ordered[last], int(y.sum()), len(s)


def _checked(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    s, y = as_floats(scores, "scores"), np.asarray(labels)
    if s.ndim != 1 or s.shape != y.shape:
        raise DataError(f"scores and labels must both have shape (N,), got {s.shape} and {y.shape}")
    if not np.isin(y, (0, 1)).all():
        raise DataError("labels must be 0 or 1, 1 for the rare event")
    if not y.any():
        raise DataError("labels hold no positive case; recall and cost of missing one are unknown")
    return s, y.astype(bool)
