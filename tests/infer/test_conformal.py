import math

import numpy as np
import pytest
from scipy.stats import betabinom
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
    with pytest.raises(DataError, match="scale must be positive"):
        ConformalIntervals().fit([0.0], [1.0], [0.0])
