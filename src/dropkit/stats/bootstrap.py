"""The bias-corrected and accelerated bootstrap interval of a mean difference."""

import numpy as np
import numpy.typing as npt
from scipy import special

from dropkit.stats.inputs import Floats, as_floats, check_alpha

RESAMPLES = 9_999
BLOCK = 2_000_000  # numbers held at once


def bca_interval(
    differences: npt.ArrayLike, alpha: float = 0.05, *, seed: int | None = None
) -> tuple[float, float]:
    """Return the BCa interval of the mean, from 9,999 resamples. Informative only.

    For normal data it covers the truth less often than it says: about 83 % at ``n = 5``, 90 % at ``n = 10``,
    93 % at ``n = 20`` for a nominal 95 %. No verdict rests on it. It is worth a look where the t interval and it
    disagree in shape, which is a sign of skew.

    The limits do not depend on the order of the differences, and change sign and place when all of them change
    sign, exactly.

    Args:
        differences: Finite, shape ``(n,)``.
        alpha: 1 - nominal coverage, in (0, 1).
        seed: Seed of the resamples. Default: ``n`` itself, so that equal data give equal answers and every
            ``n`` has a fixed set of resamples. No global generator is touched.

    Returns:
        The two limits; ``(nan, nan)`` where all differences are equal or ``n < 2``, as nothing can be said.

    Raises:
        DataError: Values that are not finite, or ``alpha`` outside (0, 1).

    Reference:
        Efron, "Better Bootstrap Confidence Intervals", JASA 82 (1987).
    """
    d, level = np.sort(as_floats(differences, "differences")), check_alpha(alpha)
    if d.size < 2 or d[0] == d[-1]:
        return float("nan"), float("nan")
    mirrored = -d[::-1]
    if tuple(d) < tuple(mirrored):  # one of the two mirror images is resampled for both
        low, high = _bca(mirrored, level, seed)
        return -high, -low
    return _bca(d, level, seed)


def _bca(d: Floats, alpha: float, seed: int | None) -> tuple[float, float]:
    unit = float(np.abs(d).max())
    x = d / unit
    mean, n = x.mean(), x.size
    means = np.sort(_resampled_means(x, n if seed is None else seed))
    slack = 8 * np.finfo(np.float64).eps  # resampled means equal to the mean differ from it by rounding
    below, up_to = np.searchsorted(means, [mean - slack, mean + slack])
    bias = special.ndtri((below + up_to) / 2 / means.size)
    centred = x - mean
    acceleration = np.sum(centred**3) / (6.0 * np.sum(centred**2) ** 1.5)  # the jackknife's, for a mean
    z = bias + special.ndtri(np.array([alpha / 2, 1 - alpha / 2]))
    low, high = np.quantile(means, special.ndtr(bias + z / (1 - acceleration * z)))
    return float(low * unit), float(high * unit)


def _resampled_means(x: Floats, seed: int) -> Floats:
    generator = np.random.default_rng(seed)
    rows = max(1, BLOCK // x.size)
    parts = [
        x[generator.integers(0, x.size, size=(min(rows, RESAMPLES - start), x.size))].mean(axis=1)
        for start in range(0, RESAMPLES, rows)
    ]
    return np.concatenate(parts)
