"""The core of every verdict: the paired t-test on many data sets at once."""

import numpy as np
import pytest
from scipy import stats

from dropkit.stats.t_test import interval, paired_t


def test_agrees_with_scipy_in_every_set(numbers):
    a = numbers.normal(size=(4, 3, 8))
    b = a + numbers.normal(0.5, 1, (4, 3, 8))
    found, expected = paired_t(a, b), stats.ttest_rel(b, a, axis=-1)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-10)
    np.testing.assert_allclose(found.difference, (b - a).mean(-1), rtol=1e-12)
    np.testing.assert_allclose(found.sd, (b - a).std(-1, ddof=1), rtol=1e-12)
    limits = expected.confidence_interval(0.9)
    np.testing.assert_allclose(interval(found, 0.1), (limits.low, limits.high), rtol=1e-10)


def test_the_correction_is_that_of_nadeau_and_bengio(numbers):
    d = numbers.normal(1, 1, 10)
    found = paired_t(np.zeros(10), d, 0.25)
    t = d.mean() / np.sqrt((1 / 10 + 0.25) * d.var(ddof=1))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 9), rel=1e-10)


@pytest.mark.parametrize("unit", [1e-290, 1e-9, 1.0, 1e290])
def test_units_do_not_matter(unit):
    d = np.array([1.0, 2.0, 4.0, 3.0])
    one, other = paired_t(np.zeros(4), d), paired_t(np.zeros(4), d * unit)
    assert other.p == pytest.approx(float(one.p), rel=1e-12)
    assert other.sd == pytest.approx(float(one.sd) * unit, rel=1e-12, abs=0)


def test_a_tiny_spread_is_a_spread():
    d = 1.0 + np.array([0.0, 1e-9, -1e-9, 2e-9, 0.0])
    found = paired_t(np.zeros(5), d)
    assert not found.constant
    assert 0 < found.p < 1e-15


def test_rounding_is_not_a_spread():
    a = 0.1 * np.arange(1, 11)
    b = a + 0.3
    assert np.ptp(b - a) > 0
    found = paired_t(a, b)
    assert found.constant
    assert found.sd == 0
    assert found.p == 2.0**-9
    again = paired_t(np.array([0.1 + 0.2, 1.0]), np.array([0.3, 1.0]))
    assert again.p == 1
    assert again.difference == 0


def test_equal_differences():
    a, one = np.zeros((2, 6)), np.ones((1, 6))
    found = paired_t(a, np.concatenate([one, 0 * one]))
    assert found.p.tolist() == [2.0**-5, 1.0]
    assert found.constant.all()
    assert np.array(interval(found, 0.05)).tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert np.array(interval(found, 0.01)).tolist() == [[-np.inf, 0.0], [np.inf, 0.0]]


def test_equal_differences_of_overlapping_splits_prove_nothing():
    found = paired_t(np.zeros(50), np.ones(50), 0.25)
    assert found.p == 1
    assert interval(found, 0.05) == (-np.inf, np.inf)
