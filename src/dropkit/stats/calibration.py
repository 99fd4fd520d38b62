"""Calibration: of the predictions made with confidence ``c``, does a share ``c`` come true."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dropkit.core import DataError
from dropkit.stats.inputs import Floats, Integers, check_classification


class Reliability(NamedTuple):
    """Predictions grouped by confidence; every array has one entry a bin, NaN where a bin is empty.

    Args:
        edges: Limits of the bins, one more than there are bins; bin ``k`` is ``(edges[k], edges[k + 1]]``.
        counts: Predictions in each bin.
        confidence: Mean of the largest probability.
        accuracy: Share of correct predictions.
    """

    edges: Floats
    counts: Integers
    confidence: Floats
    accuracy: Floats


def reliability(probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = 15) -> Reliability:
    """Group predictions into equal-width bins of their confidence, the largest probability of each row.

    Args:
        probabilities: Shape ``(N, C)``, rows summing to 1.
        labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.
        bins: Number of bins over ``(0, 1]``.

    Raises:
        DataError: Bad shapes, values, labels, or ``bins < 1``.
    """
    p, y = check_classification(probabilities, labels)
    if bins < 1:
        raise DataError(f"bins must be at least 1, got {bins!r}")
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    edges = np.linspace(0.0, 1.0, bins + 1)
    bin_of = np.minimum(np.searchsorted(edges, confidence, side="left") - 1, bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    filled = np.where(count > 0, count, np.nan)
    return Reliability(
        edges,
        count,
        np.bincount(bin_of, weights=confidence, minlength=bins) / filled,
        np.bincount(bin_of, weights=correct, minlength=bins) / filled,
    )


def expected_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = 15
) -> float:
    """Return the mean gap between accuracy and confidence, ``sum_k (n_k / N) |accuracy_k - confidence_k|``.

    Args:
        probabilities: Shape ``(N, C)``, rows summing to 1.
        labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.
        bins: Number of equal-width bins of confidence.

    Returns:
        A number in ``[0, 1]``; 0 is perfect. It is biased upwards for small ``N``.

    Raises:
        DataError: Bad shapes, values, labels, or ``bins < 1``.

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599, eq. 3.
    """
    table = reliability(probabilities, labels, bins=bins)
    gaps = np.abs(table.accuracy - table.confidence) * table.counts / table.counts.sum()
    return float(np.nansum(gaps))
