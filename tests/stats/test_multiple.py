"""Families of comparisons: Holm's p, intervals that agree with it, and rows with seeds of their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropkit.core import DataError
from dropkit.stats import compare, compare_many, compare_pairs, holm, mde


def family(numbers, n=10):
    a = numbers.normal(size=n)
    shifts = {"large": -3.0, "small": -0.8, "none": 0.0, "bad": 1.5}
    return a, {name: a + shift + numbers.normal(0, 0.7, n) for name, shift in shifts.items()}


def test_rows_are_single_comparisons_with_holms_p(numbers):
    a, treatments = family(numbers)
    rows = compare_many(a, treatments, baseline_name="plain", metric="loss")
    assert list(rows) == list(treatments)
    adjusted, levels = holm([rows[name].p for name in rows])
    for (name, row), p, level in zip(rows.items(), adjusted, levels, strict=True):
        alone = compare(a, treatments[name], alpha=level)
        assert row.p_adjusted == p
        assert row.family == 4
        assert row.alpha == 0.05
        for field in ("p", "low", "high", "difference", "sd", "p_permutation", "bca", "level"):
            assert getattr(row, field) == getattr(alone, field)
        assert row.mde == pytest.approx(mde(row.sd, 10, level))
        assert row.sd_low / row.sd == pytest.approx(compare(a, treatments[name]).sd_low / row.sd)
        assert (row.treatment, row.baseline, row.metric) == (name, "plain", "loss")
        assert "Holm-adjusted p = " in row.sentence
        assert name in row.sentence
    assert rows["large"].level == pytest.approx(1 - 0.05 / 4)


def test_correction_can_change_a_verdict():
    a, b = np.zeros(6), np.array([1.0, 2.0, 0.0, 1.0, 3.0, 0.5])
    single = compare(a, b)
    assert single.verdict == "hurt"
    assert 0.025 < single.p < 0.05
    rows = compare_many(a, {"b": b, "same": a})
    assert rows["b"].verdict == "no difference"
    assert rows["b"].p == single.p
    assert rows["b"].p_adjusted == pytest.approx(2 * single.p)
    assert rows["b"].low <= 0 <= rows["b"].high


def test_one_treatment_is_a_plain_comparison_and_none_gives_nothing(numbers):
    a, b = numbers.normal(size=(2, 8))
    assert compare_many(a, {"treatment": b}) == {"treatment": compare(a, b)}
    assert compare_many(a, {}) == {}


def test_rows_may_have_seeds_of_their_own(numbers):
    a, b, c = numbers.normal(size=(3, 9))
    rows = compare_pairs({"b": (a, b), "c": (a[:7], c[:7])})
    assert (rows["b"].n, rows["c"].n) == (9, 7)
    assert [row.p_adjusted for row in rows.values()] == holm([compare(a, b).p, compare(a[:7], c[:7]).p])[
        0
    ].tolist()


def test_a_bad_row_is_refused(numbers):
    with pytest.raises(DataError, match="equal lengths, got 4 and 3"):
        compare_many(np.arange(4.0), {"good": np.ones(4), "short": np.ones(3)})
    with pytest.raises(DataError, match="alpha"):
        compare_many(np.arange(4.0), {}, alpha=2.0)


lattice = st.integers(0, 30).map(lambda k: k / 797)
families = st.tuples(st.integers(2, 10), st.integers(1, 5)).flatmap(
    lambda size: st.lists(
        st.lists(lattice, min_size=size[0], max_size=size[0]), min_size=size[1] + 1, max_size=size[1] + 1
    )
)


@settings(max_examples=60, deadline=None)
@given(families, st.sampled_from([0.05, 0.4]), st.sampled_from([None, 0.3]))
def test_interval_leaves_out_zero_exactly_where_the_adjusted_p_is_small(columns, alpha, ratio):
    baseline, *others = columns
    treatments = {str(k): column for k, column in enumerate(others)}
    for row in compare_many(baseline, treatments, alpha=alpha, test_train_ratio=ratio).values():
        assert (row.p_adjusted < alpha) == (not row.low <= 0 <= row.high) == (row.verdict != "no difference")
        assert row.p <= row.p_adjusted <= 1
        assert row.level >= 1 - alpha - 1e-12
