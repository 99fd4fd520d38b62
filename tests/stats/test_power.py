"""Power, detectable effect and needed pairs, against scipy and against simulation."""

import numpy as np
import pytest
from scipy import integrate, stats

from dropkit.core import DataError
from dropkit.stats import mde, pairs_needed, power, sd_interval
from dropkit.stats.t_test import paired_t

FALSE_ALARM = 1e-6


@pytest.mark.parametrize(
    ("effect", "sd", "n", "alpha"),
    [(1.0, 1.0, 10, 0.05), (-0.5, 1.0, 5, 0.05), (3.0, 2.0, 4, 0.2), (2.0, 1.0, 8, 0.01)],
)
def test_power_agrees_with_20000_simulations(effect, sd, n, alpha, numbers):
    b = numbers.normal(effect, sd, (20_000, n))
    found = int((paired_t(np.zeros_like(b), b).p < alpha).sum())
    assert stats.binomtest(found, 20_000, power(effect, sd, n, alpha)).pvalue > FALSE_ALARM


def test_power_for_overlapping_splits_agrees_with_20000_simulations(numbers):
    ratio, n = 0.25, 10
    rho = ratio / (1 + ratio)
    shared, own = numbers.normal(size=(20_000, 1)), numbers.normal(size=(20_000, n))
    b = 1.5 + np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    found = int((paired_t(np.zeros_like(b), b, ratio).p < 0.05).sum())
    # The sd within one study is that of the part which differs between its splits.
    expected = power(1.5, np.sqrt(1 - rho), n, test_train_ratio=ratio)
    assert stats.binomtest(found, 20_000, expected).pvalue > FALSE_ALARM


@pytest.mark.parametrize("n", [2, 3, 10, 200, 5000])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_power_is_the_integral_over_the_estimated_sd(n, alpha):
    critical, df = stats.t.isf(alpha / 2, n - 1), n - 1
    low, high = stats.chi.ppf([1e-13, 1 - 1e-13], df) / np.sqrt(df)
    for noncentrality in (0.0, 0.5, 2.0, 4.0, 20.0):

        def found(s, shift=noncentrality):
            tails = stats.norm.cdf(shift - critical * s) + stats.norm.cdf(-shift - critical * s)
            return tails * stats.chi.pdf(s * np.sqrt(df), df) * np.sqrt(df)

        turn = min(max(noncentrality / critical, low), high)
        expected = sum(integrate.quad(found, *ends, limit=200)[0] for ends in ((low, turn), (turn, high)))
        assert power(noncentrality / np.sqrt(n), 1.0, n, alpha) == pytest.approx(expected, abs=1e-6)


def test_known_values():
    assert power(0.0, 1.0, 7, 0.05) == pytest.approx(0.05, abs=1e-7)
    # The textbook case: an effect of half an sd needs 34 pairs for power 0.8.
    assert power(0.5, 1.0, 34) == pytest.approx(0.8078, abs=1e-4)
    assert pairs_needed(0.5, 1.0) == 34
    assert power(1e6, 1.0, 5) == pytest.approx(1.0)
    assert power(-1.0, 1.0, 5) == power(1.0, 1.0, 5)


@pytest.mark.parametrize("n", [2, 3, 10, 100])
@pytest.mark.parametrize(("alpha", "wanted", "ratio"), [(0.05, 0.8, None), (0.01, 0.9, 0.25)])
def test_mde_is_the_effect_found_with_that_power(n, alpha, wanted, ratio):
    effect = mde(0.3, n, alpha, power=wanted, test_train_ratio=ratio)
    assert power(effect, 0.3, n, alpha, test_train_ratio=ratio) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("effect", [-3.0, 1.0, 0.2])
def test_pairs_needed_is_the_least_number(effect):
    n = pairs_needed(effect, 1.0, 0.05, power=0.9)
    assert power(effect, 1.0, n) >= 0.9
    assert n == 2 or power(effect, 1.0, n - 1) < 0.9


def test_sd_interval_covers_and_is_two_sided(numbers):
    sds = numbers.normal(0, 2, (20_000, 6)).std(axis=1, ddof=1)
    low, high = sd_interval(1.0, 6, 0.1)  # the interval of sd s is s times this
    for misses in ((sds * low > 2).sum(), (sds * high < 2).sum()):
        assert stats.binomtest(int(misses), 20_000, 0.05).pvalue > FALSE_ALARM


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: power(1.0, 0.0, 5), "sd must be positive and finite, got 0.0"),
        (lambda: power(np.nan, 1.0, 5), "effect must be finite"),
        (lambda: power(1.0, 1.0, 1), "n must be a whole number of at least 2, got 1"),
        (lambda: power(1.0, 1.0, 5.5), "n must be a whole number"),
        (lambda: power(1.0, 1.0, 5, 1.0), r"alpha must be in \(0, 1\), got 1.0"),
        (lambda: power(1.0, 1.0, 5, test_train_ratio=0.0), "test_train_ratio must be positive"),
        (lambda: mde(np.inf, 5), "sd must be positive and finite, got inf"),
        (lambda: mde(1.0, 5, power=0.05), r"power must be in \(alpha, 1\)"),
        (lambda: pairs_needed(0.0, 1.0), "size of the effect must be positive"),
        (lambda: pairs_needed(1e-6, 1.0), "more than 10,000,000 pairs"),
        (lambda: sd_interval(-1.0, 5), "sd must be positive"),
    ],
)
def test_bad_input_is_named(call, text):
    with pytest.raises(DataError, match=text):
        call()
