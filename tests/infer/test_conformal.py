import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.special import entr, softmax
from scipy.stats import betabinom, binom
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from dropkit.core import ConfigError, DataError
from dropkit.infer import ConformalIntervals, ConformalSets, conformal_quantile


def test_the_quantile_by_hand():
    nine = np.arange(1.0, 10.0)
    assert conformal_quantile(nine, 0.9) == 9.0
    assert conformal_quantile(nine, 0.5) == 5.0
    assert conformal_quantile(nine, 0.91) == math.inf
    with pytest.raises(ConfigError, match=r"level must be in \(0, 1\), got 1\.0"):
        conformal_quantile(nine, 1.0)


@pytest.mark.parametrize("score", ["threshold", "adaptive"])
def test_sets_cover_real_data_as_often_as_asked(score, numbers):
    x, y = load_digits(return_X_y=True)
    train = numbers.permutation(len(y))
    model = LogisticRegression(C=1e-4, max_iter=1000).fit(x[train[:400]], y[train[:400]])  # a poor one
    p, y = model.predict_proba(x[train[400:]]), y[train[400:]]
    inside, cases, level, count = 0, 0, 0.85, 199
    for _ in range(200):
        order = numbers.permutation(len(y))
        sets = ConformalSets(level, score).fit(p[order[:count]], y[order[:count]]).sets(p[order[count:]])
        inside += sets[np.arange(len(order) - count), y[order[count:]]][:20].sum()
        cases += 20
        if score == "adaptive":
            assert sets.any(axis=1).all()
    # within one split coverage is beta distributed: bound the mean of 200 splits by 6 of its standard deviations
    sd = math.sqrt(betabinom.var(20, 170, 30) / 20**2 / 200)
    assert inside / cases > level - 6 * sd
    if score == "threshold":
        assert inside / cases < level + 1 / 200 + 6 * sd + 0.01  # equal probabilities round up


def test_the_quantile_is_the_smallest_score_that_enough_are_at_most(numbers):
    for n in (*range(1, 24), 99):
        scores = numbers.integers(0, 6 if n < 24 else 2**40, size=n) / 4  # with ties, and without
        for percent in range(1, 100):
            wanted = Fraction(percent, 100) * (n + 1)
            enough = [s for s in scores if (scores <= s).sum() >= wanted]
            assert conformal_quantile(scores, percent / 100) == min(enough, default=math.inf)
    assert conformal_quantile([], 0.5) == math.inf


@pytest.mark.parametrize("count", [1, 9, 40])
@pytest.mark.parametrize("kind", ["threshold", "randomised", "intervals"])
def test_coverage_of_two_thousand_splits_is_beta_binomial(kind, count, numbers):
    level, cases, splits = 0.85, 20, 2000
    covered = np.empty(splits)
    for k in range(splits):
        if kind == "intervals":
            p, y = np.zeros(count + cases), numbers.normal(size=count + cases)
            low, high = ConformalIntervals(level).fit(p[:count], y[:count]).intervals(p[count:])
            covered[k] = ((low <= y[count:]) & (y[count:] <= high)).sum()
            continue
        p = numbers.dirichlet([0.3, 0.3, 0.6, 2.0], count + cases)
        y = numbers.integers(4, size=count + cases)  # a model that knows nothing
        fitted = ConformalSets(level) if kind == "threshold" else ConformalSets(level, "adaptive", seed=k)
        sets = fitted.fit(p[:count], y[:count]).sets(p[count:])
        covered[k] = sets[np.arange(cases), y[count:]].sum()
    rank = math.ceil((count + 1) * level)
    if rank > count:
        assert (covered == cases).all()  # too few to say anything: never fewer than asked
        return
    law = betabinom(cases, rank, count + 1 - rank)
    assert abs(covered.mean() - law.mean()) < 6 * law.std() / math.sqrt(splits)
    assert law.mean() / cases >= level
    for share in (0.05, 0.5, 0.95):
        at = law.ppf(share)
        low, high = binom.interval(1 - 1e-7, splits, law.cdf(at))
        assert low <= (covered <= at).sum() <= high


def test_adaptive_sets_by_hand():
    p = [[0.6, 0.3, 0.1], [0.1, 0.5, 0.4], [0.4, 0.35, 0.25], [0.98, 0.01, 0.01]]
    fitted = ConformalSets(0.5, "adaptive").fit(p, [0, 2, 2, 0])
    # what is likelier than the label: 0, 0.5, 0.75 and 0; the third of four is 0.5
    assert fitted.limit == 0.5
    new = [[0.5, 0.3, 0.2], [0.98, 0.015, 0.005], [0.2, 0.3, 0.5], [0.45, 0.3, 0.25]]
    expected = [[1, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0]]
    assert fitted.sets(new).astype(int).tolist() == expected


def test_the_harder_the_case_the_larger_its_adaptive_set(numbers):
    sharpness = numbers.uniform(0.1, 6.0, size=(4000, 1))
    p = softmax(sharpness * numbers.normal(size=(4000, 10)), axis=1)
    y = (p.cumsum(axis=1) < numbers.random((4000, 1))).sum(axis=1).clip(max=9)
    entropy = entr(p[2000:]).sum(axis=1)
    easy, hard = entropy < np.quantile(entropy, 0.25), entropy > np.quantile(entropy, 0.75)
    for seed in (None, 1):
        sets = ConformalSets(0.9, "adaptive", seed=seed).fit(p[:2000], y[:2000]).sets(p[2000:])
        sizes = sets.sum(axis=1)
        assert sizes[easy].mean() < 2 < 5 < sizes[hard].mean()
        covered = sets[np.arange(2000), y[2000:]]
        if (
            seed is not None
        ):  # of honest probabilities also the easy and the hard are covered as often as asked
            sd = 6 * math.sqrt(0.09 / 500 + 0.09 / 2000)
            assert max(abs(covered[part].mean() - 0.9) for part in (easy, hard)) < sd


def test_randomised_sets_are_reproducible_and_lie_between(numbers):
    p = numbers.dirichlet(np.ones(6), 60)
    y = numbers.integers(6, size=60)
    one, two = (ConformalSets(0.8, "adaptive", seed=5).fit(p, y) for _ in range(2))
    assert one.limit == two.limit
    first = one.sets(p)
    np.testing.assert_array_equal(first, two.sets(p))
    assert (one.sets(p) != first).any()  # drawn anew
    for row, order in zip(first, np.argsort(-p, axis=1), strict=True):
        assert (np.diff(row[order].astype(int)) <= 0).all()  # the likeliest classes
    assert (ConformalSets(0.8, "adaptive", seed=6).fit(p, y).sets(p) != first).any()


def test_labels_that_are_always_or_never_right():
    sure = np.eye(3)[np.arange(30) % 3]
    for score in ("threshold", "adaptive"):
        right = ConformalSets(0.9, score).fit(sure, np.arange(30) % 3)
        np.testing.assert_array_equal(right.sets(sure), sure == 1)
        assert ConformalSets(0.9, score).fit(sure, (np.arange(30) + 1) % 3).sets(sure).all()


def test_intervals_cover_and_follow_the_scale(numbers):
    scale = np.exp(numbers.normal(size=6000))
    target = scale * numbers.standard_t(4, size=6000)
    fitted = ConformalIntervals(0.9).fit(np.zeros(3000), target[:3000], scale[:3000])
    low, high = fitted.intervals(np.zeros(3000), scale[3000:])
    np.testing.assert_allclose(high, fitted.limit * scale[3000:])
    np.testing.assert_allclose(low, -high)
    covered = ((low <= target[3000:]) & (target[3000:] <= high)).mean()
    assert abs(covered - 0.9) < 6 * math.sqrt(2 * 0.09 / 3000)


def test_too_few_cases_give_everything():
    assert ConformalSets(0.95).fit([[0.9, 0.1]] * 5, [0] * 5).sets([[1.0, 0.0]]).all()
    low, high = ConformalIntervals(0.95).fit([0.0], [1.0]).intervals([3.0])
    assert (low[0], high[0]) == (-math.inf, math.inf)


def test_bad_input():
    with pytest.raises(ConfigError, match="score must be"):
        ConformalSets(score="aps")
    with pytest.raises(ConfigError, match="seed makes adaptive sets randomised"):
        ConformalSets(seed=1)
    with pytest.raises(DataError, match=r"scores must have shape \(n,\)"):
        conformal_quantile([[1.0, 2.0]], 0.5)
    with pytest.raises(ConfigError, match=r"the sets are not calibrated yet; call fit\(\)"):
        ConformalSets().sets([[0.5, 0.5]])
    fitted = ConformalSets(0.5).fit([[0.5, 0.5], [0.1, 0.9]], [0, 1])
    with pytest.raises(DataError, match="must be of 2 classes"):
        fitted.sets([[0.2, 0.3, 0.5]])
    with pytest.raises(DataError, match="apply softmax first"):
        fitted.sets([[2.0, -3.0]])
    assert fitted.sets(np.empty((0, 2))).shape == (0, 2)


def test_bad_intervals():
    with pytest.raises(DataError, match="scale must be positive"):
        ConformalIntervals().fit([0.0], [1.0], [0.0])
    with pytest.raises(
        DataError, match=r"must both have shape \(n,\), got \(1, 1\) and \(1, 1\); calibrate each output"
    ):
        ConformalIntervals().fit([[0.0]], [[1.0]])
    with pytest.raises(ConfigError, match="the intervals are not calibrated yet"):
        ConformalIntervals().intervals([0.0])
    with pytest.raises(ConfigError, match=r"fit\(\) was called with a scale and intervals\(\) without"):
        ConformalIntervals(0.5).fit([0.0], [1.0], [1.0]).intervals([0.0])
    with pytest.raises(ConfigError, match=r"fit\(\) was called without a scale and intervals\(\) with"):
        ConformalIntervals(0.5).fit([0.0], [1.0]).intervals([0.0], [1.0])
