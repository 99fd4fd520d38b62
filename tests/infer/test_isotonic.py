import numpy as np
import pytest
from scipy.special import softmax
from sklearn.isotonic import IsotonicRegression

from dropkit.core import ConfigError, DataError
from dropkit.infer import IsotonicCalibration
from dropkit.stats import expected_calibration_error


def overconfident(numbers, n=4000, classes=4):
    """Probabilities that are sharper than those that the labels were drawn from."""
    z = numbers.normal(size=(n, classes)) * 2
    y = (softmax(z, axis=1).cumsum(axis=1) < numbers.random((n, 1))).sum(axis=1).clip(max=classes - 1)
    return softmax(3 * z, axis=1), y


def test_isotonic_maps_by_increasing_functions(numbers):
    p, y = overconfident(numbers)
    q = IsotonicCalibration().fit(p, y).probabilities(p)
    np.testing.assert_allclose(q.sum(axis=1), 1)
    assert expected_calibration_error(q, y) < expected_calibration_error(p, y) / 3
    two = IsotonicCalibration().fit(p[:, :2] / p[:, :2].sum(1, keepdims=True), y % 2)
    line = np.linspace(0, 1, 50)
    assert (np.diff(two.probabilities(np.stack((line, 1 - line), axis=1))[:, 0]) >= -1e-12).all()


def test_isotonic_by_hand():
    p = np.array([[0.1, 0.9], [0.3, 0.7], [0.6, 0.4], [0.8, 0.2]])
    fitted = IsotonicCalibration().fit(p, [1, 0, 1, 0])
    # class 0 comes true at 0.3 and 0.8, not at 0.1 and 0.6: pooled to 0, 1/2, 1/2, 1
    np.testing.assert_allclose(fitted.probabilities(p)[:, 0], [0, 0.5, 0.5, 1])


@pytest.mark.parametrize("ties", [False, True])
def test_it_is_one_regression_a_class_made_to_sum_to_one(ties, numbers):
    p, y = overconfident(numbers, n=300, classes=5)
    p = numbers.multinomial(8, p) / 8 if ties else p
    y[y == 3] = 2  # a class that does not occur
    new = numbers.dirichlet(np.ones(5), 200)
    fitted = IsotonicCalibration().fit(p[:250], y[:250])
    mapped = np.stack(
        [
            IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            .fit(p[:250, c], y[:250] == c)
            .predict(new[:, c])
            for c in range(5)
        ],
        axis=1,
    )
    np.testing.assert_allclose(
        fitted.probabilities(new), mapped / mapped.sum(axis=1, keepdims=True), atol=1e-9
    )
    assert (fitted.probabilities(new)[:, 3] == 0).all()


def test_rows_of_which_nothing_is_known_become_uniform():
    fitted = IsotonicCalibration().fit(np.eye(4)[:3] * 0.8 + 0.05, [0, 1, 2])  # the fourth never occurs
    np.testing.assert_allclose(fitted.probabilities([[0.0, 0.0, 0.0, 1.0]]), 0.25)
    wrong = IsotonicCalibration().fit(np.eye(3), [1, 2, 0]).probabilities(np.eye(3))
    np.testing.assert_allclose(wrong, 1 / 3)
    alone = IsotonicCalibration().fit([[0.3, 0.7]], [1])  # one case: all that is known
    np.testing.assert_allclose(alone.probabilities([[0.9, 0.1]]), [[0.0, 1.0]])


def test_bad_input():
    with pytest.raises(ConfigError, match=r"not fitted yet; call fit\(\)"):
        IsotonicCalibration().probabilities([[0.5, 0.5]])
    fitted = IsotonicCalibration().fit([[0.5, 0.5], [0.2, 0.8]], [0, 1])
    with pytest.raises(DataError, match="must be of 2 classes, as those of fit"):
        fitted.probabilities([[0.5, 0.25, 0.25]])
    with pytest.raises(DataError, match="apply softmax first"):
        fitted.probabilities([[3.0, -1.0]])
