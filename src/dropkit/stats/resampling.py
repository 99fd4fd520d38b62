"""Bootstrap intervals of any statistic of cases, within strata."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dropkit.core import DataError
from dropkit.stats.inputs import as_array, check_alpha, check_count


class Estimate(NamedTuple):
    """A statistic with its interval.

    Args:
        value: On the cases themselves.
        low: Lower limit.
        high: Upper limit.
    """

    value: float
    low: float
    high: float


def stratified_interval(
    statistic: Callable[..., float],
    *columns: npt.ArrayLike,
    strata: npt.ArrayLike,
    alpha: float = 0.05,
    resamples: int = 1999,
    seed: int = 0,
) -> Estimate:
    """Return a statistic of cases with its percentile bootstrap interval, each stratum resampled apart.

    Every resample has as many cases of each stratum as there are, so that a rare event is in all of them; what the
    interval leaves out is that its frequency, too, is an estimate. It is approximate, and too narrow for a handful of
    cases in a stratum.

    Args:
        statistic: Called with the columns of a resample; returns a number.
        *columns: What the statistic needs, the first axis of each being the ``N`` cases.
        strata: Of each case, e.g. its label, shape ``(N,)``.
        alpha: 1 - nominal coverage, in (0, 1).
        resamples: Their number, at least 2.
        seed: Of the resamples; no global generator is touched.

    Raises:
        DataError: Columns differ in length, there are no cases, or the statistic is not finite.

    Reference:
        Davison and Hinkley, "Bootstrap Methods and their Application", 1997, sec. 3.2 and 5.3.1.
    """
    level, count = check_alpha(alpha), check_count(resamples, "resamples")
    arrays, groups = [as_array(column, "columns") for column in columns], as_array(strata, "strata")
    if groups.ndim != 1 or len(groups) == 0:
        raise DataError(f"strata must have shape (N,), N >= 1, got {groups.shape}")
    for array in arrays:
        if array.shape[:1] != groups.shape:
            raise DataError(f"columns must have {len(groups)} cases, as strata has, got shape {array.shape}")
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    generator = np.random.default_rng(seed)

    def once() -> float:
        rows = np.concatenate([rows[generator.integers(len(rows), size=len(rows))] for rows in members])
        return _finite(statistic(*(array[rows] for array in arrays)))

    value = _finite(statistic(*arrays))
    low, high = np.quantile([once() for _ in range(count)], [level / 2, 1 - level / 2])
    return Estimate(value, float(low), float(high))


def _finite(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise DataError(f"the statistic must be finite for every resample, got {number!r}")
    return number
