import numpy as np
import pytest
import torch
from scipy.special import softmax

from dropkit.core import DataError
from dropkit.infer import TemperatureScaling, VectorScaling
from dropkit.infer.scaling import check_logits
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


def slope(z, y, temperature):
    """Of the negative log likelihood by 1 / T, in units of the logits' spread."""
    q = softmax(z / temperature, axis=1)
    return ((q * z).sum(axis=1) - z[np.arange(len(y)), y]).mean() / z.std()


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize("classes", [2, 7, 1000])
def test_the_temperature_is_a_minimum_whatever_the_unit(unit, classes, numbers):
    z, y = overconfident(numbers, n=600, classes=classes, factor=unit)
    temperature = TemperatureScaling().fit(z, y).temperature
    assert abs(slope(z, y, temperature)) < 1e-9
    assert slope(z, y, temperature / 1.01) > 0 > slope(z, y, temperature * 1.01)
    masked = np.concatenate((z, np.full((600, 1), -1e30)), axis=1)  # a class that is switched off
    assert TemperatureScaling().fit(masked, y).temperature == pytest.approx(temperature, rel=1e-9)


@pytest.mark.parametrize(
    "z", [[[2.0, 1.0]], [[1e4, -1e4], [3.0, 3.5]], [[1e-8, 0.0], [0.0, 5.0], [1.0, 1.0]]]
)
def test_no_temperature_is_best_where_every_label_is_predicted(z):
    z = np.array(z)
    with pytest.warns(UserWarning, match="every label is the predicted class"):
        fitted = TemperatureScaling().fit(z, z.argmax(axis=1))
    assert 0 < fitted.temperature < np.inf
    p = fitted.probabilities(z)
    ties = (z == z.max(axis=1, keepdims=True)).sum(axis=1)
    np.testing.assert_allclose(p.max(axis=1), 1 / ties)


def test_no_temperature_is_best_where_the_logits_mislead():
    z = np.array([[1e4, -1e4], [-2.0, 3.0]])
    with pytest.warns(UserWarning, match="no temperature is too high"):
        fitted = TemperatureScaling().fit(z, [1, 0])
    np.testing.assert_allclose(fitted.probabilities(z), 0.5, atol=1e-3)


def test_equal_logits_leave_the_temperature_at_one():
    assert TemperatureScaling().fit(np.zeros((4, 3)), [0, 1, 2, 2]).temperature == 1.0


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_vector_scaling_does_not_depend_on_the_unit(unit, numbers):
    z, y = overconfident(numbers, n=1000)
    z += numbers.normal(size=4)
    p, q = (
        VectorScaling().fit(z, y).probabilities(z),
        VectorScaling().fit(z * unit, y).probabilities(z * unit),
    )
    np.testing.assert_allclose(p, q, atol=1e-6)


def test_vector_scaling_warns_where_nothing_is_best(numbers):
    z, y = overconfident(numbers, n=500)
    with pytest.warns(UserWarning, match="1 of 5 classes do not occur"):
        fitted = VectorScaling().fit(np.concatenate((z, np.zeros((500, 1))), axis=1), y)
    assert np.isfinite(fitted.weight).all()
    with pytest.warns(UserWarning, match="can get every label right"):
        p = VectorScaling().fit(z, z.argmax(axis=1)).probabilities(z)
    assert nll(p, z.argmax(axis=1)) < 0.01


def test_tensors_of_any_precision_are_taken(numbers):
    z, y = overconfident(numbers, n=300)
    z = torch.from_numpy(z).to(torch.bfloat16)
    for scaling in (TemperatureScaling(), VectorScaling()):
        half = scaling.fit(z.requires_grad_(), torch.from_numpy(y)).probabilities(z)
        same = type(scaling)().fit(z.detach().double().numpy().tolist(), y.tolist()).probabilities(z)
        np.testing.assert_array_equal(half, same)


def test_bad_input(numbers):
    with pytest.raises(DataError, match=r"labels must be in 0 \.\. 1, got 0 to 2"):
        TemperatureScaling().fit([[0.0, 1.0], [1.0, 0.0]], [0, 2])
    with pytest.raises(DataError, match=r"logits must have shape \(N, C\)"):
        VectorScaling().fit([0.0, 1.0], [0, 1])
    with pytest.raises(DataError, match="labels must be integers, got float64"):
        TemperatureScaling().fit([[0.0, 1.0]], [0.0])
    with pytest.raises(DataError, match="logits must be finite"):
        TemperatureScaling().fit([[0.0, -np.inf]], [0])
    z, y = overconfident(numbers, n=300)
    with pytest.raises(DataError, match="logits must have 4 classes"):
        VectorScaling().fit(z, y).probabilities(z[:, :3])


def test_logarithms_of_zero_are_refused_with_what_to_do():
    with pytest.raises(DataError, match=r"logarithm of a probability of 0; take probabilities\.clip"):
        TemperatureScaling().fit([[0.0, -np.inf], [-1.0, -0.5]], [0, 1])


def test_probabilities_in_place_of_logits_are_refused(numbers):
    p = softmax(numbers.normal(size=(5, 3)), axis=1)
    for scaling in (TemperatureScaling(), VectorScaling()):
        with pytest.raises(DataError, match=r"got rows of probabilities, .* give their logarithms"):
            scaling.fit(p, [0, 1, 2, 0, 1])
    for logits in (np.log(p), np.eye(3)[[0, 1, 2, 0, 2]], np.full((5, 3), 1 / 3)):
        check_logits(logits, [0, 1, 2, 0, 1])
