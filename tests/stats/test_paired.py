"""Verdicts of one comparison: hand-made cases, edges, sentences and laws that hold for any data."""

import json
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dropkit.core import InputError
from dropkit.stats import Comparison, bca_interval, compare, mde, sd_interval, sign_flip_p

BASE = np.array([0.024, 0.027, 0.022, 0.025, 0.026, 0.023, 0.028, 0.024, 0.025, 0.026])
GAIN = np.array([0.009, 0.011, 0.008, 0.010, 0.012, 0.007, 0.011, 0.009, 0.010, 0.008])


def test_every_number_is_that_of_its_source():
    found, d = compare(BASE, BASE - GAIN, alpha=0.1), -GAIN
    expected = stats.ttest_rel(BASE - GAIN, BASE)
    limits = expected.confidence_interval(0.9)
    assert found.n == 10
    assert found.min_p == 2.0**-9
    assert found.difference == pytest.approx(d.mean(), rel=1e-12)
    assert (found.baseline_mean, found.treatment_mean) == pytest.approx((BASE.mean(), (BASE - GAIN).mean()))
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), rel=1e-9)
    assert found.level == pytest.approx(0.9)
    assert found.alpha == 0.1
    assert found.p == found.p_adjusted == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.p_permutation == sign_flip_p(d) == 2.0**-9
    assert found.sd == pytest.approx(d.std(ddof=1), rel=1e-9)
    assert (found.sd_low, found.sd_high) == pytest.approx(sd_interval(found.sd, 10, 0.1))
    assert found.bca == pytest.approx(bca_interval(d, 0.1), rel=1e-9)
    assert found.mde == pytest.approx(mde(found.sd, 10, 0.1))
    assert found.mde_low == pytest.approx(mde(found.sd_low, 10, 0.1))
    assert found.mde_high == pytest.approx(mde(found.sd_high, 10, 0.1))
    assert found.warnings == ()
    assert not found.degenerate


@pytest.mark.parametrize(
    ("treatment", "larger_is_better", "verdict", "said"),
    [
        (BASE - GAIN, False, "helped", "treatment helped: the metric was 0.0095 lower than with baseline ("),
        (BASE - GAIN, True, "hurt", "treatment hurt: the metric was 0.0095 lower than with baseline ("),
        (BASE + GAIN, False, "hurt", "treatment hurt: the metric was 0.0095 higher than with baseline ("),
        (BASE + GAIN, True, "helped", "treatment helped: the metric was 0.0095 higher than with baseline ("),
        (BASE[::-1], False, "no difference", ": no difference larger than 0.00185 found (95 % interval of"),
    ],
)
def test_verdict_and_sentence(treatment, larger_is_better, verdict, said):
    found = compare(BASE, treatment, larger_is_better=larger_is_better)
    assert found.verdict == verdict
    assert said in found.sentence
    assert found.sentence.endswith("10 paired seeds).")
    assert found.sentence.count("\n") == 0


def test_no_larger_than_is_the_far_end_of_the_interval():
    assert compare(BASE, BASE[::-1]).no_larger_than == pytest.approx(0.00185, rel=1e-2)
    lopsided = compare([0.0, 0.0, 0.0], [-3.0, -1.0, 1.0])
    assert lopsided.no_larger_than == -lopsided.low > lopsided.high


def test_names_and_metric_are_in_the_sentence():
    said = compare(BASE, BASE - GAIN, names=("none", "hidden"), metric="error").sentence
    assert said.startswith(
        "hidden helped: error was 0.0095 lower than with none (95 % interval of the difference -0.0"
    )


def test_identical_results():
    found = compare(BASE, BASE)
    assert (found.p, found.p_permutation, found.verdict) == (1.0, 1.0, "no difference")
    assert (found.difference, found.low, found.high, found.sd) == (0.0, 0.0, 0.0, 0.0)
    assert not found.degenerate
    assert ": no difference larger than 0 found (both are equal in every pair, p = 1, 10" in found.sentence


def test_equal_differences_are_flagged_and_judged_by_signs():
    many, few = compare(BASE, BASE + 0.01), compare(BASE[:5], BASE[:5] + 0.01)
    for found in (many, few):
        assert found.degenerate
        assert found.p == found.p_permutation == found.min_p
        assert found.warnings[-1].startswith(f"degenerate: the difference is the same in all {found.n} pairs")
        assert math.isnan(found.mde)
        assert math.isnan(found.sd_low)
        assert math.isnan(found.bca[0])
        assert "sign-flip p = " in found.sentence
    assert (many.verdict, few.verdict) == ("hurt", "no difference")
    assert many.low == many.high == many.difference == pytest.approx(0.01)
    assert (few.low, few.high) == (-math.inf, math.inf)
    assert "no difference established, though it was 0.01 in every pair" in few.sentence


@pytest.mark.parametrize(
    ("n", "alpha", "said"),
    [
        (2, 0.05, "0.5, so it cannot reach 0.05"),
        (5, 0.05, "0.0625"),
        (5, 0.1, "0.0625, so it cannot reach 0.05"),
        (7, 0.01, "0.0156, so it cannot reach 0.01"),
    ],
)
def test_too_few_seeds_for_the_exact_test_are_warned_of(n, alpha, said):
    (warning,) = compare(BASE[:n], BASE[:n][::-1] + GAIN[:n], alpha=alpha).warnings
    assert said in warning


@pytest.mark.parametrize(("n", "alpha"), [(6, 0.05), (8, 0.01)])
def test_enough_seeds_are_not_warned_of(n, alpha):
    assert compare(BASE[:n], BASE[:n] + GAIN[:n], alpha=alpha).warnings == ()


def test_overlapping_splits_use_the_corrected_test_and_drop_what_does_not_apply():
    found = compare(BASE, BASE - GAIN, test_train_ratio=0.25)
    t = GAIN.mean() / (GAIN.std(ddof=1) * math.sqrt(0.1 + 0.25))
    assert found.p == pytest.approx(2 * stats.t.sf(t, 9), rel=1e-9)
    half = stats.t.isf(0.025, 9) * GAIN.std(ddof=1) * math.sqrt(0.35)
    assert (found.low, found.high) == pytest.approx((-GAIN.mean() - half, -GAIN.mean() + half))
    assert found.mde == pytest.approx(mde(found.sd, 10, test_train_ratio=0.25))
    assert math.isnan(found.p_permutation)
    assert math.isnan(found.bca[0])
    assert "overlapping splits" in found.warnings[0]
    assert "corrected for their overlap" in found.sentence
    equal = compare(np.zeros(20), np.ones(20), test_train_ratio=0.25)
    assert (equal.p, equal.verdict, equal.degenerate) == (1.0, "no difference", True)


def test_result_is_frozen_and_json_friendly():
    for found in (
        compare(BASE, BASE - GAIN),
        compare([1.0, 2.0], [2.0, 3.0]),
        compare(BASE, BASE, test_train_ratio=1.0),
    ):
        with pytest.raises(FrozenInstanceError):
            found.p = 0.0
        said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert set(said) == {*Comparison.__dataclass_fields__, "sentence"}
        assert said["sentence"] == found.sentence
        assert said["warnings"] == list(found.warnings)
        for name in ("difference", "low", "p", "mde", "p_permutation"):
            value = getattr(found, name)
            assert said[name] == (value if math.isfinite(value) else None)


def test_global_generator_is_left_alone_and_answers_repeat(numbers):
    a, b = numbers.normal(size=(2, 50))
    before = np.random.get_state()[1].copy()
    assert compare(a, b) == compare(a, b)
    np.testing.assert_array_equal(before, np.random.get_state()[1])
    assert compare(a, b, seed=1).bca != compare(a, b, seed=2).bca
    assert compare(a, b, seed=1).p_permutation != compare(a, b, seed=2).p_permutation


@pytest.mark.parametrize(
    ("a", "b", "options", "text"),
    [
        ([1.0, 2.0], [1.0, 2.0, 3.0], {}, "equal lengths, got 2 and 3; match them seed by seed"),
        ([1.0, np.nan], [1.0, 2.0], {}, "baseline must be finite, got 1 NaN or infinite of 2"),
        ([1.0, 2.0], [np.inf, 2.0], {}, "treatment must be finite"),
        ([1.0], [2.0], {}, "at least 2 paired results are needed, got 1; run more seeds"),
        ([], [], {}, "at least 2 paired results are needed, got 0"),
        ([[1.0, 2.0]], [[1.0, 2.0]], {}, r"1-d\), got shapes \(1, 2\) and \(1, 2\)"),
        (["a", "b"], [1.0, 2.0], {}, "baseline must be an array of real numbers"),
        ([1e301, 0.0], [-1e301, 0.0], {}, "at most 1e\\+300 in size"),
        ([1.0, 2.0], [1.0, 2.0], {"alpha": 1.5}, r"alpha must be in \(0, 1\), got 1.5"),
        ([1.0, 2.0], [1.0, 2.0], {"test_train_ratio": -1.0}, "test_train_ratio must be positive"),
    ],
)
def test_bad_input_is_one_clear_line(a, b, options, text):
    for kind in (ValueError, InputError):
        with pytest.raises(kind, match=text) as caught:
            compare(a, b, **options)
        assert "\n" not in str(caught.value)


free = st.floats(-10, 10).map(lambda x: round(x, 6))
lattice = st.integers(0, 60).map(lambda k: k / 797)
columns = st.integers(2, 14).flatmap(
    lambda n: st.sampled_from([free, lattice]).flatmap(
        lambda values: st.tuples(*[st.lists(values, min_size=n, max_size=n)] * 2)
    )
)
any_data = settings(max_examples=60, deadline=None)
OPPOSITE = {"helped": "hurt", "hurt": "helped", "no difference": "no difference"}


@any_data
@given(columns, st.sampled_from([None, 0.25]))
def test_swapping_the_two_mirrors_everything(pair, ratio):
    a, b = map(np.array, pair)
    one, other = compare(a, b, test_train_ratio=ratio), compare(b, a, test_train_ratio=ratio)
    assert other.verdict == OPPOSITE[one.verdict]
    assert (other.difference, other.low, other.high) == pytest.approx(
        (-one.difference, -one.high, -one.low), rel=1e-9, abs=1e-12
    )
    for name in ("p", "p_permutation", "sd", "mde", "degenerate", "n"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9, abs=1e-15, nan_ok=True)
    assert other.bca == pytest.approx((-one.bca[1], -one.bca[0]), rel=1e-9, abs=1e-12, nan_ok=True)
    assert compare(b, a, larger_is_better=True, test_train_ratio=ratio).verdict == one.verdict


@any_data
@given(columns, st.floats(-100, 100), st.floats(1e-3, 1e3))
def test_shift_of_both_and_change_of_unit_leave_the_verdict(pair, shift, unit):
    a, b = map(np.array, pair)
    one, other = compare(a, b), compare((a + shift) * unit, (b + shift) * unit)
    if one.sd and one.sd < 1e-9 * (1 + abs(shift) + np.abs(pair).max()):
        return  # the shift would round the spread itself away
    assert other.verdict == one.verdict
    assert other.degenerate == one.degenerate
    assert other.p == pytest.approx(one.p, rel=1e-4, abs=1e-12)
    assert other.p_permutation == one.p_permutation
    assert other.difference == pytest.approx(one.difference * unit, rel=1e-4, abs=1e-11 * unit)


@any_data
@given(columns, st.randoms())
def test_order_of_the_seeds_does_not_matter(pair, shuffler):
    order = list(range(len(pair[0])))
    shuffler.shuffle(order)
    a, b = map(np.array, pair)
    one, other = compare(a, b), compare(a[order], b[order])
    assert other.verdict == one.verdict
    assert other.p_permutation == one.p_permutation
    for name in ("p", "difference", "sd", "mde"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6, abs=1e-12, nan_ok=True)
    assert other.bca == pytest.approx(one.bca, rel=1e-6, abs=1e-12, nan_ok=True)


@any_data
@given(columns, st.sampled_from([0.01, 0.05, 0.3]))
def test_interval_and_verdict_agree(pair, alpha):
    found = compare(*pair, alpha=alpha)
    assert (
        (found.verdict != "no difference") == (found.p_adjusted < alpha) == (not found.low <= 0 <= found.high)
    )
    assert found.low <= found.difference <= found.high
    assert found.min_p <= found.p_permutation <= 1
