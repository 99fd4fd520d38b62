"""The sign-flip test: exact by enumeration, then by scipy, then sampled."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from dropkit.core import DataError
from dropkit.stats import sign_flip_p

FALSE_ALARM = 1e-6


def enumerated(d, slack=1e-9):
    sums = np.array([np.dot(signs, d) for signs in product([-1.0, 1.0], repeat=len(d))])
    return np.mean(np.abs(sums) >= abs(np.sum(d)) - slack)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 12])
@pytest.mark.parametrize("grid", [None, 1.0])
def test_is_the_share_of_sign_patterns(n, grid, numbers):
    for shift in (0.0, 0.5, 3.0):
        d = numbers.normal(shift, 1, n)
        d = np.round(d / grid) * grid if grid else d  # a grid brings ties and zeros
        assert sign_flip_p(d) == enumerated(d)


def test_agrees_with_scipy(numbers):
    d = numbers.normal(0.4, 1, 11)
    found = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(d) == pytest.approx(found.pvalue, rel=1e-12)


@pytest.mark.parametrize("n", [2, 10, 39, 40])
def test_least_value_and_all_zero(n):
    assert sign_flip_p(np.linspace(1.0, 2.0, n)) == 2.0 ** (1 - n)
    assert sign_flip_p(np.zeros(n)) == 1.0


def test_forty_differences_are_counted_exactly(numbers):
    d = np.ones(40)
    d[:13] = -1.0  # a binomial tail in disguise
    assert sign_flip_p(d) == pytest.approx(2 * stats.binom.cdf(13, 40, 0.5), rel=1e-12)


def test_zeros_do_not_count_towards_the_limit_of_exactness():
    d = np.concatenate([np.ones(30), np.zeros(1000)])
    assert sign_flip_p(d) == 2.0**-29


def test_rounding_of_the_inputs_does_not_break_ties():
    wrong = np.array([7, 11, 19, 230, 410, 640])
    d = (wrong + np.array([1, 1, 1, 1, 1, -1])) / 797 - wrong / 797  # all of one size, but for rounding
    assert len({abs(x) for x in d}) > 1
    assert sign_flip_p(d, tolerance=1e-14) == 14 / 64


def test_sampled_p_is_near_the_exact_one_and_repeatable(numbers):
    d = np.ones(60)
    d[:23] = -1.0
    exact = 2 * stats.binom.cdf(23, 60, 0.5)
    draws = 19_999
    for seed in (None, int(numbers.integers(2**32))):
        p = sign_flip_p(d, seed=seed)
        assert stats.binomtest(round(p * (draws + 1)) - 1, draws, exact).pvalue > FALSE_ALARM
        assert p == sign_flip_p(d, seed=seed)
    assert sign_flip_p(np.ones(60)) == 1 / 20_000  # never 0


def test_sampling_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    sign_flip_p(np.ones(50))
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_nan_is_refused():
    with pytest.raises(DataError, match="differences must be finite"):
        sign_flip_p([1.0, np.nan])
