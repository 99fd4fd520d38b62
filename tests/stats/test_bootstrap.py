"""The BCa interval: scipy's, its coverage, and its behaviour where nothing varies."""

import math

import numpy as np
import pytest
from scipy import stats

from dropkit.core import DataError
from dropkit.stats import bca_interval

FALSE_ALARM = 1e-6


@pytest.mark.parametrize("n", [8, 16, 64])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_is_scipys_interval_from_the_same_resamples(n, alpha):
    d = stats.expon.ppf((np.arange(n) + 0.5) / n)  # skewed, so that both corrections matter
    d = np.round(d * 64) / 64  # scipy looks for exact ties with the mean; these sums are exact
    theirs = stats.bootstrap(
        (d,),
        np.mean,
        method="BCa",
        confidence_level=1 - alpha,
        n_resamples=9_999,
        rng=np.random.default_rng(n),  # scipy draws its indices as we do
    )
    assert bca_interval(d, alpha) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)


@pytest.mark.parametrize(("n", "covered"), [(5, 0.83), (10, 0.90), (20, 0.93)])
def test_coverage_for_normal_data_is_what_the_docs_say(n, covered, numbers):
    sets = numbers.normal(size=(500, n))
    hits = sum(low <= 0.0 <= high for low, high in map(bca_interval, sets))
    assert stats.binomtest(hits, 500, covered).pvalue > FALSE_ALARM


def test_repeatable_and_seeded(numbers):
    d = numbers.normal(size=9)
    assert bca_interval(d) == bca_interval(d) == bca_interval(d, seed=9) != bca_interval(d, seed=1)


def test_order_does_not_matter_and_signs_mirror_exactly(numbers):
    for d in (numbers.normal(size=8), np.array([-1.0, 1.0, 1.0, -1.0, 2.0])):
        low, high = bca_interval(d)
        assert bca_interval(numbers.permutation(d)) == (low, high)
        assert bca_interval(-d) == (-high, -low)


@pytest.mark.parametrize("d", [[0.0, 0.0, 0.0], [0.3, 0.3, 0.3], [1.0]])
def test_nothing_can_be_said_without_spread(d):
    assert all(math.isnan(limit) for limit in bca_interval(d))


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_extreme_units(unit):
    d = np.array([1.0, 2.0, 4.0, 4.5])
    assert bca_interval(d * unit) == pytest.approx([x * unit for x in bca_interval(d)], rel=1e-9, abs=0)


def test_many_differences_and_two():
    assert bca_interval(np.arange(3001.0))[0] < 1500 < bca_interval(np.arange(3001.0))[1]
    assert bca_interval([1.0, 2.0]) == (1.0, 2.0)


def test_bad_input():
    with pytest.raises(DataError, match=r"alpha must be in \(0, 1\), got 5"):
        bca_interval([1.0, 2.0], 5)
