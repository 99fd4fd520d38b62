"""Regression metrics against scikit-learn and scipy, and on bad input."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from dropkit.core import DataError
from dropkit.stats import LARGER_IS_BETTER, regression_metrics


@pytest.mark.parametrize("shape", [(200,), (200, 1), (50, 3), (2,)])
def test_agrees_with_scikit_learn_and_scipy(shape, numbers):
    y = numbers.normal(5, 2, shape)
    prediction, v = y + numbers.normal(0, 1, shape), numbers.uniform(0.5, 2, shape)
    expected = {
        "rmse": sk.root_mean_squared_error(y, prediction),
        "mae": sk.mean_absolute_error(y, prediction),
        "r2": sk.r2_score(y, prediction),
        "nll": -stats.norm.logpdf(y, prediction, np.sqrt(v)).mean(),
    }
    found = regression_metrics(prediction, y, variance=v)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert set(found) <= set(LARGER_IS_BETTER)


def test_without_a_variance_nll_is_the_least_that_a_constant_one_gives(numbers):
    y = numbers.normal(size=100)
    prediction = y + numbers.normal(size=100)
    best, mse = regression_metrics(prediction, y)["nll"], sk.mean_squared_error(y, prediction)
    assert best == pytest.approx(regression_metrics(prediction, y, variance=mse)["nll"], rel=1e-12)
    for factor in (0.9, 1.1):
        assert regression_metrics(prediction, y, variance=factor * mse)["nll"] > best


@pytest.mark.parametrize(("prediction", "r2"), [([2.0, 2.0], 1.0), ([2.0, 3.0], 0.0)])
def test_constant_target_scores_as_in_scikit_learn(prediction, r2):
    assert regression_metrics(prediction, [2.0, 2.0])["r2"] == r2 == sk.r2_score([2.0, 2.0], prediction)


def test_one_constant_column_does_not_spoil_the_others(numbers):
    y = np.stack([numbers.normal(size=20), np.full(20, 3.0)], axis=1)
    prediction = y + numbers.normal(size=(20, 2))
    assert regression_metrics(prediction, y)["r2"] == pytest.approx(sk.r2_score(y, prediction), rel=1e-12)


def test_perfect_prediction_is_finite_and_one_row_has_no_r2():
    assert np.isfinite(regression_metrics([1.0, 2.0], [1.0, 2.0])["nll"])
    assert np.isnan(regression_metrics([1.0], [2.0])["r2"])


@pytest.mark.parametrize(
    ("prediction", "target", "variance", "text"),
    [
        ([1.0, np.nan], [1.0, 2.0], None, r"prediction must be finite, got 1 NaN"),
        ([1.0, 2.0], [1.0, np.inf], None, r"target must be finite"),
        ([1.0, 2.0], [[1.0], [2.0]], None, r"same shape, got \(2,\) and \(2, 1\)"),
        ([], [], None, r"not be empty"),
        (1.0, 1.0, None, r"shape \(N,\)"),
        ([1.0, 2.0], [1.0, 2.0], [1.0, 0.0], r"variance must be positive, got 0"),
        ([1.0, 2.0], [1.0, 2.0], [1.0], r"variance must be one number or have shape \(2,\)"),
        ([1.0, 2.0], [1.0, 2.0], [1.0, np.nan], r"variance must be finite"),
    ],
)
def test_bad_input_is_named(prediction, target, variance, text):
    with pytest.raises(DataError, match=text):
        regression_metrics(prediction, target, variance=variance)
