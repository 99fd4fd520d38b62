"""Telling positives from negatives by a score: out-of-distribution inputs, rare events."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from dropkit.core import DataError
from dropkit.stats.inputs import Floats, as_floats, check_alpha, check_count


class Detection(NamedTuple):
    """How well a score separates positives from negatives.

    Args:
        auroc: Probability that a positive scores higher than a negative, ties counting half; 0.5 is chance.
        aupr: Average precision; chance is the share of positives.
        fpr95: Share of negatives above the threshold that finds 95 % of the positives; smaller is better.
    """

    auroc: float
    aupr: float
    fpr95: float


def detection(positive: npt.ArrayLike, negative: npt.ArrayLike) -> Detection:
    """Return AUROC, AUPR and FPR at 95 % recall of a score.

    Args:
        positive: Scores of the cases to be found, e.g. uncertainty on out-of-distribution inputs, shape ``(P,)``.
        negative: Scores of the others, shape ``(N,)``.

    Returns:
        Detection: what is to be found is the positive class; for the other way round, swap the arguments and change
        the scores' signs.

    Raises:
        DataError: An empty or non-finite array.

    Reference:
        Hendrycks and Gimpel, ICLR 2017, arXiv:1610.02136; average precision as the sum over thresholds of
        precision times the gain in recall.
    """
    p, n = _scores(positive, "positive"), _scores(negative, "negative")
    ranks = rankdata(np.concatenate((p, n)))
    auroc = (ranks[: len(p)].sum() - len(p) * (len(p) + 1) / 2) / (len(p) * len(n))
    recall, _, false_positives = curve(p, n)
    fpr95 = false_positives[np.searchsorted(recall, 0.95 - 1e-12)]
    return Detection(float(auroc), average_precision(p, n), float(fpr95))


def average_precision(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Return the area under the precision-recall curve, ``sum_k (recall_k - recall_{k-1}) precision_k``.

    Args:
        positive: Scores of the positives, shape ``(P,)``.
        negative: Scores of the negatives, shape ``(N,)``.

    Returns:
        A number in (0, 1]; chance is the share of positives. Equal scores are one threshold.

    Raises:
        DataError: An empty or non-finite array.
    """
    recall, precision, _ = curve(_scores(positive, "positive"), _scores(negative, "negative"))
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def curve(positive: Floats, negative: Floats) -> tuple[Floats, Floats, Floats]:
    """Return recall, precision and false positive rate at every distinct threshold, from the highest down."""
    scores = np.concatenate((positive, negative))
    true = np.concatenate((np.ones(len(positive)), np.zeros(len(negative))))
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(true[order])
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    found, said = hits[last], last + 1
    return found / len(positive), found / said, (said - found) / len(negative)


def detection_interval(
    positive: npt.ArrayLike,
    negative: npt.ArrayLike,
    *,
    alpha: float = 0.05,
    resamples: int = 1999,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return percentile bootstrap intervals of the three measures, positives and negatives resampled apart.

    Args:
        positive: Scores of the positives, shape ``(P,)``.
        negative: Scores of the negatives, shape ``(N,)``.
        alpha: 1 - nominal coverage, in (0, 1).
        resamples: Number of bootstrap samples, at least 2.
        seed: Their seed; no global generator is touched.

    Returns:
        ``{"auroc": (low, high), "aupr": ..., "fpr95": ...}``.

    Raises:
        DataError: An empty or non-finite array, or too few resamples.
    """
    p, n = _scores(positive, "positive"), _scores(negative, "negative")
    level, generator = check_alpha(alpha), np.random.default_rng(seed)
    count = check_count(resamples, "resamples")
    values = np.array(
        [
            detection(p[generator.integers(len(p), size=len(p))], n[generator.integers(len(n), size=len(n))])
            for _ in range(count)
        ]
    )
    low, high = np.quantile(values, [level / 2, 1 - level / 2], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(Detection._fields)}


def _scores(values: npt.ArrayLike, name: str) -> Floats:
    array = as_floats(values, name)
    if array.ndim != 1 or len(array) == 0:
        raise DataError(f"{name} must be scores of shape (N,) with N >= 1, got shape {array.shape}")
    return array
