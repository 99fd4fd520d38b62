import itertools

import numpy as np
import pytest
from scipy.stats import binom

from dropkit.core import DataError
from dropkit.stats import stratified_interval

RESAMPLES = 4000


def test_it_is_the_quantile_of_all_resamples():
    """Of three cases in one stratum and two in another, all 27 x 4 resamples can be listed."""
    values, strata = np.array([1.0, 2.0, 7.0, 10.0, 30.0]), np.array([0, 0, 0, 1, 1])
    one, two = (itertools.product(values[strata == k], repeat=int((strata == k).sum())) for k in (0, 1))
    every = np.sort([np.mean(a + b) for a, b in itertools.product(one, two)])
    found = stratified_interval(np.mean, values, strata=strata, alpha=0.2, resamples=RESAMPLES, seed=5)
    assert found.value == values.mean()
    # each end lies between the exact quantiles at shares that the empirical one misses with probability 1e-6
    for share, end in ((0.1, found.low), (0.9, found.high)):
        below, above = (binom.ppf(q, RESAMPLES, share) / RESAMPLES for q in (5e-7, 1 - 5e-7))
        assert np.quantile(every, below, method="lower") <= end <= np.quantile(every, above, method="higher")


def test_strata_keep_their_sizes():
    labels = np.array([1] + [0] * 50)

    def rare(y):
        assert y.sum() == 1
        return 0.0

    assert stratified_interval(rare, labels, strata=labels, resamples=20) == (0.0, 0.0, 0.0)


def test_rows_stay_together_and_the_seed_decides():
    x = np.arange(20.0)

    def same(a, b):
        assert (b == a[:, None] + [0, 100]).all()
        return a.mean()

    strata = np.arange(20) % 3
    b = x[:, None] + [0, 100]
    first = stratified_interval(same, x, b, strata=strata, resamples=50, seed=1)
    assert stratified_interval(same, x, b, strata=strata, resamples=50, seed=1) == first
    assert stratified_interval(same, x, b, strata=strata, resamples=50, seed=2) != first


def test_coverage_is_about_what_it_says(numbers):
    """The mean of 60 normal values: 200 resamples at a nominal 90 % cover it in 87 to 92 % of cases."""
    hits = 0
    for _ in range(300):
        x = numbers.normal(size=60)
        low, high = stratified_interval(np.mean, x, strata=np.zeros(60), alpha=0.1, resamples=200)[1:]
        hits += low <= 0 <= high
    assert binom.ppf(5e-7, 300, 0.87) <= hits <= binom.ppf(1 - 5e-7, 300, 0.92)


def test_bad_arguments():
    with pytest.raises(DataError, match="must have 3 cases"):
        stratified_interval(np.mean, [1.0, 2.0], strata=[0, 0, 1])
    with pytest.raises(DataError, match="strata must have shape"):
        stratified_interval(np.mean, [], strata=[])
    with pytest.raises(DataError, match="must be finite"):
        stratified_interval(lambda x: np.nan, [1.0], strata=[0])
    with pytest.raises(DataError, match="resamples must be"):
        stratified_interval(np.mean, [1.0], strata=[0], resamples=1)
