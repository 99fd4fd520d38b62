"""How large an effect, or how many seeds, a paired comparison needs."""

import numpy as np
from scipy import optimize, special

from dropkit.core import DataError
from dropkit.stats.inputs import check_alpha, check_count, check_positive, check_ratio

MOST_SEEDS = 10_000_000


def power(
    effect: float, sd: float, n: int, alpha: float = 0.05, *, test_train_ratio: float | None = None
) -> float:
    """Return the probability that a two-sided paired t-test finds ``effect``.

    ``P(|T| > t(1 - alpha/2, n - 1))`` for a noncentral ``T`` with ``n - 1`` degrees of freedom and noncentrality
    ``effect / (sd * sqrt(1/n + ratio))``. An effect of 0 gives ``alpha``.

    Args:
        effect: True mean difference, of either sign.
        sd: True standard deviation of the paired differences (not of the results), positive.
        n: Pairs, at least 2.
        alpha: Level of the test, in (0, 1).
        test_train_ratio: As for :func:`compare`, if every pair has its own overlapping split.

    Raises:
        DataError: An argument is out of range.
    """
    if not np.isfinite(effect):
        raise DataError(f"effect must be finite, got {effect!r}")
    error = check_positive(sd, "sd") * np.sqrt(1.0 / check_count(n) + check_ratio(test_train_ratio))
    return _power(abs(effect) / error, n - 1, check_alpha(alpha))


def mde(
    sd: float,
    n: int,
    alpha: float = 0.05,
    *,
    power: float = 0.8,
    test_train_ratio: float | None = None,
) -> float:
    """Return the minimum detectable effect: what ``n`` pairs find with probability ``power``.

    Proportional to ``sd``: multiplied by the limits of :func:`sd_interval` over ``sd`` it gives its own interval.

    Args:
        sd: Standard deviation of the paired differences, positive.
        n: Pairs, at least 2.
        alpha: Level of the test, in (0, 1).
        power: Probability wanted, in ``(alpha, 1)``.
        test_train_ratio: As for :func:`compare`.

    Raises:
        DataError: An argument is out of range.
    """
    error = check_positive(sd, "sd") * np.sqrt(1.0 / check_count(n) + check_ratio(test_train_ratio))
    level = check_alpha(alpha)
    wanted = _check_power(power, level)
    above = 1.0
    while _power(above, n - 1, level) < wanted:
        above *= 2.0
    return float(error * optimize.brentq(lambda x: _power(x, n - 1, level) - wanted, 0.0, above, rtol=1e-10))


def pairs_needed(effect: float, sd: float, alpha: float = 0.05, *, power: float = 0.8) -> int:
    """Return the least number of pairs that finds ``effect`` with probability ``power``.

    Args:
        effect: True mean difference, of either sign, not 0.
        sd: Standard deviation of the paired differences, positive.
        alpha: Level of the test, in (0, 1).
        power: Probability wanted, in ``(alpha, 1)``.

    Raises:
        DataError: An argument is out of range, or more than ten million pairs would be needed.
    """
    ratio = check_positive(abs(effect), "size of the effect") / check_positive(sd, "sd")
    level = check_alpha(alpha)
    wanted = _check_power(power, level)

    def enough(n: int) -> bool:
        return _power(ratio * np.sqrt(n), n - 1, level) >= wanted

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            raise DataError(f"an effect of {effect:g} at sd {sd:g} needs more than {MOST_SEEDS:,} pairs")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def sd_interval(sd: float, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return the ``1 - alpha`` interval of a standard deviation estimated from ``n`` normal values.

    ``sd * sqrt((n - 1) / q)`` with ``q`` the ``1 - alpha/2`` and ``alpha/2`` quantiles of chi-squared with
    ``n - 1`` degrees of freedom.

    Args:
        sd: Sample standard deviation (ddof = 1), positive.
        n: Values it was computed from, at least 2.
        alpha: 1 - coverage, in (0, 1).

    Raises:
        DataError: An argument is out of range.
    """
    df, level = check_count(n) - 1, check_alpha(alpha)
    quantiles = special.chdtri(df, np.array([level / 2.0, 1.0 - level / 2.0]))
    low, high = check_positive(sd, "sd") * np.sqrt(df / quantiles)
    return float(low), float(high)


def _check_power(power: float, alpha: float) -> float:
    if not alpha < power < 1.0:
        raise DataError(f"power must be in (alpha, 1) = ({alpha:g}, 1), got {power!r}")
    return power


def _power(noncentrality: float, df: int, alpha: float) -> float:
    """Integrate ``P(df (z + noncentrality)**2 / t**2 >= chi-squared)`` over standard normal ``z``.

    SciPy's noncentral t returns NaN for ordinary arguments (df 9, noncentrality 20). The integrand is smooth and
    dies off at both ends, so the plain trapezoid rule is accurate to better than 1e-6.
    """
    critical = special.stdtrit(df, 1.0 - alpha / 2.0)
    z = np.linspace(-9.0, 9.0, 4001)
    density = np.exp(-0.5 * z**2)
    found = special.chdtr(df, df * ((z + noncentrality) / critical) ** 2)
    return float((density * found).sum() / density.sum())
