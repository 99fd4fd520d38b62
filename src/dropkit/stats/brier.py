"""The Brier score and what it is made of."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dropkit.stats.calibration import Binning, grouped
from dropkit.stats.inputs import check_classification


class Brier(NamedTuple):
    """A Brier score, ``score = reliability - resolution + uncertainty + within``; smaller is better.

    Args:
        score: Mean squared distance between probabilities and outcomes, summed over the classes, in ``[0, 2]``.
        reliability: Squared gap between forecast and frequency in the bins: 0 is perfectly calibrated.
        resolution: How far the frequencies in the bins are from the overall ones; larger is better.
        uncertainty: Of the labels alone: what forecasting the overall frequencies would score.
        within: What binning hides: spread of the forecasts within their bins, and its covariance with the outcome.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = 15, binning: Binning = "equal-width"
) -> Brier:
    """Return the Brier score ``mean_i sum_c (p_ic - [y_i = c])**2`` and its decomposition.

    The parts are of each class's probability in bins, summed over the classes. They add up exactly, since the part
    that binning leaves over is one of them.

    Args:
        probabilities: Shape ``(N, C)``, rows summing to 1.
        labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.
        bins: Number of bins of each class's probability.
        binning: See :func:`dropkit.stats.reliability`.

    Raises:
        DataError: Bad shapes, values, labels, ``bins < 1`` or another ``binning``.

    Reference:
        Murphy, "A New Vector Partition of the Probability Score", J. Appl. Meteorol. 12 (1973), eq. 5; the
        remainder: Stephenson, Coelho and Jolliffe, Weather and Forecasting 23 (2008).
    """
    p, y = check_classification(probabilities, labels)
    outcome = np.eye(p.shape[1])[y]
    score = float(((p - outcome) ** 2).sum(axis=1).mean())
    reliability = resolution = uncertainty = 0.0
    for c in range(p.shape[1]):
        table = grouped(p[:, c], y == c, bins, binning)
        weight, base = table.counts / len(y), float(outcome[:, c].mean())
        reliability += float(np.nansum(weight * (table.confidence - table.accuracy) ** 2))
        resolution += float(np.nansum(weight * (table.accuracy - base) ** 2))
        uncertainty += base * (1.0 - base)
    return Brier(score, reliability, resolution, uncertainty, score - reliability + resolution - uncertainty)
