"""Calibration: of the predictions made with confidence ``c``, does a share ``c`` come true."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dropkit.core import DataError
from dropkit.stats.inputs import Floats, Integers, check_classification, check_count


class Reliability(NamedTuple):
    """Predictions grouped by confidence; every array has one entry a bin, NaN where a bin is empty.

    Args:
        edges: Limits of the bins, one more than there are bins; bin ``k`` is ``(edges[k], edges[k + 1]]``, and 0
            belongs to the first.
        counts: Predictions in each bin.
        confidence: Mean of the largest probability.
        accuracy: Share of correct predictions.
    """

    edges: Floats
    counts: Integers
    confidence: Floats
    accuracy: Floats


Binning = Literal["equal-width", "equal-mass"]


def reliability(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = 15, binning: Binning = "equal-width"
) -> Reliability:
    """Group predictions into bins of their confidence, the largest probability of each row.

    Args:
        probabilities: Shape ``(N, C)``, rows summing to 1.
        labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.
        bins: Number of bins.
        binning: Bins that are equally wide over ``(0, 1]``, or that hold equally many predictions (but for one;
            equal confidences are never parted).

    Raises:
        DataError: Bad shapes, values, labels, ``bins < 1`` or another ``binning``.
    """
    p, y = check_classification(probabilities, labels)
    return grouped(p.max(axis=1), p.argmax(axis=1) == y, bins, binning)


def grouped(confidence: Floats, true: npt.NDArray[np.bool_], bins: int, binning: Binning) -> Reliability:
    """Group predicted probabilities of events, and whether they came true, into bins."""
    bins = check_count(bins, "bins", least=1)
    if binning not in ("equal-width", "equal-mass"):
        raise DataError(f"binning must be 'equal-width' or 'equal-mass', got {binning!r}")
    if binning == "equal-width":
        edges = np.linspace(0.0, 1.0, bins + 1)
    else:
        ends = (
            -(-len(confidence) * np.arange(1, bins + 1) // bins) - 1
        )  # of n k / bins, rounded up: places in order
        edges = np.unique(np.sort(confidence)[ends])
        edges[-1] = max(1.0, float(edges[-1]))
        edges = np.concatenate(([0.0], edges))  # if the next is 0 too, the first bin holds the zeros alone
    bins = len(edges) - 1
    bin_of = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    filled = np.where(count > 0, count, np.nan)
    return Reliability(
        edges,
        count,
        np.bincount(bin_of, weights=confidence, minlength=bins) / filled,
        np.bincount(bin_of, weights=true, minlength=bins) / filled,
    )


def expected_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = 15, binning: Binning = "equal-width"
) -> float:
    """Return the mean gap between accuracy and confidence, ``sum_k (n_k / N) |accuracy_k - confidence_k|``.

    Args:
        probabilities: Shape ``(N, C)``, rows summing to 1.
        labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.
        bins: Number of bins of confidence.
        binning: See :func:`reliability`.

    Returns:
        A number in ``[0, 1]``; 0 is perfect. It is biased upwards for small ``N``.

    Raises:
        DataError: Bad shapes, values, labels, ``bins < 1`` or another ``binning``.

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599, eq. 3; equal-mass bins:
        Nguyen and O'Connor, EMNLP 2015, arXiv:1508.05154, sec. 3.
    """
    return mean_gap(reliability(probabilities, labels, bins=bins, binning=binning))


def classwise_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = 15, binning: Binning = "equal-width"
) -> float:
    """Return the calibration error of every class's probability, averaged over the classes.

    Args:
        probabilities: Shape ``(N, C)``, rows summing to 1.
        labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.
        bins: Number of bins of each class's probability.
        binning: See :func:`reliability`.

    Returns:
        A number in ``[0, 1]``; 0 is perfect. Unlike the error of the confidence, it sees every probability.

    Raises:
        DataError: Bad shapes, values, labels, ``bins < 1`` or another ``binning``.

    Reference:
        Kull et al., "Beyond temperature scaling", NeurIPS 2019, arXiv:1910.12656, sec. 2.
    """
    p, y = check_classification(probabilities, labels)
    return float(np.mean([mean_gap(grouped(p[:, c], y == c, bins, binning)) for c in range(p.shape[1])]))


def mean_gap(table: Reliability) -> float:
    """Return the gap between frequency and forecast, averaged over predictions."""
    gaps = np.abs(table.accuracy - table.confidence) * table.counts / table.counts.sum()
    return float(np.nansum(gaps))
