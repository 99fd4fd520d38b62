import numpy as np
import pytest
from scipy.special import softmax

from dropkit.core import DataError
from dropkit.infer import IsotonicCalibration, TemperatureScaling, VectorScaling
from dropkit.stats import expected_calibration_error


def overconfident(numbers, n=4000, classes=4, factor=3.0):
    """Logits ``factor`` times those that the labels were drawn from."""
    z = numbers.normal(size=(n, classes)) * 2
    y = (softmax(z, axis=1).cumsum(axis=1) < numbers.random((n, 1))).sum(axis=1).clip(max=classes - 1)
    return factor * z, y


def nll(p, y):
    return -np.log(p[np.arange(len(y)), y]).mean()


def test_the_temperature_is_found(numbers):
    z, y = overconfident(numbers)
    fitted = TemperatureScaling().fit(z, y)
    assert fitted.temperature == pytest.approx(3.0, rel=0.25)
    p = fitted.probabilities(z)
    np.testing.assert_allclose(p, softmax(z / fitted.temperature, axis=1))
    for other in (0.97, 1.03):
        assert nll(softmax(z / fitted.temperature / other, axis=1), y) > nll(p, y)
    assert expected_calibration_error(p, y) < expected_calibration_error(softmax(z, axis=1), y) / 3
    assert (p.argmax(1) == z.argmax(1)).all()


def test_vector_scaling_is_the_best_of_its_kind(numbers):
    z, y = overconfident(numbers)
    z = z * np.array([1.0, 2.0, 0.5, 1.0]) + np.array([0.0, 1.0, -1.0, 3.0])
    fitted = VectorScaling().fit(z, y)
    p = fitted.probabilities(z)
    residual = p - np.eye(4)[y]
    np.testing.assert_allclose(residual.mean(axis=0), 0, atol=1e-4)  # where the gradient is zero
    np.testing.assert_allclose((residual * z).mean(axis=0), 0, atol=1e-3)
    assert nll(p, y) < nll(TemperatureScaling().fit(z, y).probabilities(z), y)
    assert fitted.bias.mean() == pytest.approx(0, abs=1e-9)


def test_isotonic_maps_by_increasing_functions(numbers):
    z, y = overconfident(numbers)
    p = softmax(z, axis=1)
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


def test_bad_input(numbers):
    with pytest.raises(DataError, match=r"labels must be in 0 \.\. 1, got 0 to 2"):
        TemperatureScaling().fit([[0.0, 1.0], [1.0, 0.0]], [0, 2])
    with pytest.raises(DataError, match=r"logits must have shape \(N, C\)"):
        VectorScaling().fit([0.0, 1.0], [0, 1])
