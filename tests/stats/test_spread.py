"""Pitman-Morgan: the ratio of variances of paired columns."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from dropkit.core import DataError
from dropkit.stats import variance_ratio

FALSE_ALARM = 1e-6


def columns(numbers, n, rho, ratio):
    a, own = numbers.normal(size=(2, n))
    return a, np.sqrt(ratio) * (rho * a + np.sqrt(1 - rho**2) * own)


def test_p_is_that_of_the_correlation_of_sum_and_difference(numbers):
    a, b = columns(numbers, 12, 0.6, 2.0)
    found = variance_ratio(a, b)
    assert found.p == pytest.approx(stats.pearsonr(a + b, b - a).pvalue, rel=1e-9)
    assert found.ratio == pytest.approx(b.var(ddof=1) / a.var(ddof=1), rel=1e-12)
    assert found.correlation == pytest.approx(np.corrcoef(a, b)[0, 1], rel=1e-12)


def test_the_limits_are_the_ratios_that_are_just_not_rejected(numbers):
    a, b = columns(numbers, 9, 0.4, 1.5)
    found = variance_ratio(a, b, 0.1)
    assert found.low < found.ratio < found.high
    for limit in (found.low, found.high):
        assert variance_ratio(a, b / math.sqrt(limit)).p == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize(("rho", "ratio"), [(0.0, 1.0), (0.8, 1.0), (0.5, 4.0)])
def test_interval_covers_the_truth_as_often_as_it_says(rho, ratio, numbers):
    sets = [variance_ratio(*columns(numbers, 8, rho, ratio)) for _ in range(3000)]
    for misses in (sum(s.low > ratio for s in sets), sum(s.high < ratio for s in sets)):
        assert stats.binomtest(misses, 3000, 0.025).pvalue > FALSE_ALARM


def test_verdicts_agree_with_the_interval_and_mirror(numbers):
    a, b = columns(numbers, 40, 0.5, 30.0)
    more, less = variance_ratio(a, b), variance_ratio(b, a)
    assert (more.verdict, less.verdict) == ("less steady", "steadier")
    assert "less steady than the baseline; ratio" in more.sentence
    assert "is steadier than" in less.sentence
    assert more.low > 1 > less.high
    assert less.low == pytest.approx(1 / more.high, rel=1e-9)
    even = variance_ratio(a, np.roll(a, 1))
    assert even.verdict == "no difference"
    assert even.low < 1 < even.high
    assert even.p > 0.9


@pytest.mark.parametrize(
    ("a", "b", "ratio"),
    [
        ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 5.0], math.inf),
        ([1.0, 2.0, 3.0, 5.0], [0.1, 0.1, 0.1, 0.1], 0.0),
        ([1.0, 2.0, 3.0, 5.0], [2.0, 4.0, 6.0, 10.0], 4.0),
        ([0.3, 0.1, 0.7, 0.2], [0.3, 0.1, 0.7, 0.2], 1.0),
    ],
)
def test_degenerate_columns_are_flagged_and_prove_nothing(a, b, ratio):
    found = variance_ratio(a, b)
    assert found.degenerate
    assert found.p == 1
    assert found.verdict == "no difference"
    assert found.ratio == pytest.approx(ratio)
    assert (found.low, found.high) == (0.0, math.inf)
    assert "no comparison possible" in found.sentence


def test_two_constant_columns_have_no_ratio():
    found = variance_ratio([1.0] * 3, [2.0] * 3)
    assert math.isnan(found.ratio)
    assert found.degenerate
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["ratio"] is None


@pytest.mark.parametrize(("shift", "unit"), [(1e3, 1.0), (0.0, 1e-200), (-5.0, 1e100)])
def test_shift_and_unit_do_not_matter(shift, unit, numbers):
    a, b = columns(numbers, 10, 0.5, 2.0)
    one, other = variance_ratio(a, b), variance_ratio((a + shift) * unit, (b + shift) * unit)
    for name in ("ratio", "low", "high", "p"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6)


def test_bad_input():
    with pytest.raises(DataError, match="at least 3 paired results are needed, got 2"):
        variance_ratio([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(DataError, match="equal lengths, got 3 and 4"):
        variance_ratio([1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0])
