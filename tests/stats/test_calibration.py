"""Expected calibration error and the table it rests on."""

import numpy as np
import pytest

from dropkit.core import DataError
from dropkit.stats import (
    classification_metrics,
    classwise_calibration_error,
    expected_calibration_error,
    reliability,
)
from dropkit.stats.calibration import grouped


def calibrated(numbers, n, classes):
    """Labels drawn from the probabilities: gaps of both signs, so that the limits of the bins matter."""
    p = numbers.dirichlet(np.ones(classes), n)
    return p, (p.cumsum(axis=1) < numbers.random((n, 1))).sum(axis=1).clip(max=classes - 1)


def slow_ece(p, y, bins):
    """The definition, bin by bin."""
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    total = 0.0
    for k in range(bins):
        members = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        if members.any():
            total += members.mean() * abs(correct[members].mean() - confidence[members].mean())
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("classes", [2, 10])
def test_ece_is_its_definition(bins, classes, numbers):
    p, y = calibrated(numbers, 400, classes)
    assert expected_calibration_error(p, y, bins=bins) == pytest.approx(slow_ece(p, y, bins), rel=1e-12)


def test_the_metric_uses_fifteen_bins(numbers):
    p, y = calibrated(numbers, 300, 3)
    assert classification_metrics(p, y)["ece"] == pytest.approx(slow_ece(p, y, 15), rel=1e-12)
    assert abs(slow_ece(p, y, 15) - slow_ece(p, y, 10)) > 1e-6  # the number of bins is visible here


def test_hand_made_case():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    # Confidence 0.9: half right. Confidence 0.6: both right.
    assert expected_calibration_error(p, [0, 1, 0, 1]) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


def test_a_limit_belongs_to_the_bin_below_and_certainty_to_the_last():
    table = reliability([[0.75, 0.25], [1.0, 0.0]], [0, 0], bins=4)
    assert table.counts.tolist() == [0, 0, 1, 1]
    assert table.accuracy[2:].tolist() == [1.0, 1.0]
    assert table.confidence[2:].tolist() == [0.75, 1.0]
    assert np.isnan([*table.accuracy[:2], *table.confidence[:2]]).all()


def test_rounding_above_one_stays_in_the_last_bin():
    assert reliability([[1.00001, 0.0]], [0]).counts.tolist() == [0] * 14 + [1]


def test_bad_input():
    with pytest.raises(DataError, match="bins must be a whole number of at least 1, got 0"):
        reliability([[0.5, 0.5]], [0], bins=0)
    with pytest.raises(DataError, match="row 0 sums to 2"):
        expected_calibration_error([[1.0, 1.0]], [0])


def test_bins_of_equal_mass_hold_equally_many(numbers):
    p, y = calibrated(numbers, 600, 4)
    table = reliability(p, y, bins=12, binning="equal-mass")
    assert np.abs(table.counts - 50).max() <= 1
    assert expected_calibration_error(p, y, bins=12, binning="equal-mass") != expected_calibration_error(
        p, y, bins=12
    )
    tied = np.tile([[0.75, 0.25]], (40, 1))
    assert reliability(tied, y[:40] % 2, binning="equal-mass").counts.sum() == 40


def test_classwise_error_sees_what_the_confidence_hides():
    p = np.tile([[0.6, 0.3, 0.1]], (100, 1))
    y = np.repeat([0, 2], [60, 40])  # right about the first class, wrong about the others
    assert expected_calibration_error(p, y) == pytest.approx(0.0)
    assert classwise_calibration_error(p, y) == pytest.approx((0.0 + 0.3 + 0.3) / 3)


def by_definition(confidence, true, bins, binning):
    """The mean gap, bin by bin: bins of equal mass end at every n / bins-th value, with all that are equal to it."""
    order = np.sort(confidence)
    n = len(order)
    ends = [
        k / bins if binning == "equal-width" else order[-(-n * k // bins) - 1] for k in range(1, bins + 1)
    ]
    total, below = 0.0, -1.0
    for end in sorted(set(ends)):
        inside = (confidence > below) & (confidence <= end + (1e-4 if end == max(ends) else 0))
        if inside.any():
            total += inside.mean() * abs(true[inside].mean() - confidence[inside].mean())
        below = end
    return total


@pytest.mark.parametrize("binning", ["equal-width", "equal-mass"])
@pytest.mark.parametrize("kind", ["smooth", "coarse", "certain", "sparse"])
@pytest.mark.parametrize("n", [1, 2, 11, 300])
@pytest.mark.parametrize("bins", [1, 5, 7])
def test_errors_are_their_definition_whatever_the_probabilities(bins, binning, kind, n, numbers):
    p = numbers.dirichlet(np.full(4, 0.5), n)
    if kind != "smooth":
        p = (
            numbers.multinomial({"coarse": 8, "certain": 1, "sparse": 64}[kind], p)
            / {"coarse": 8, "certain": 1, "sparse": 64}[kind]
        )
    for y in (numbers.integers(4, size=n), p.argmax(axis=1), (p.argmax(axis=1) + 1) % 4, np.zeros(n, int)):
        found = expected_calibration_error(p, y, bins=bins, binning=binning)
        assert found == pytest.approx(
            by_definition(p.max(axis=1), p.argmax(axis=1) == y, bins, binning), abs=1e-12
        )
        gaps = [by_definition(p[:, c], y == c, bins, binning) for c in range(4)]
        assert classwise_calibration_error(p, y, bins=bins, binning=binning) == pytest.approx(
            np.mean(gaps), abs=1e-12
        )


def test_bins_of_equal_mass_are_never_empty_and_zeros_stay_apart():
    p = np.array([0.0] * 6 + [0.1, 0.2, 0.3, 1.0])
    table = grouped(p, p > 0.25, 5, "equal-mass")
    assert table.edges.tolist() == [0.0, 0.0, 0.2, 1.0]
    assert table.counts.tolist() == [6, 2, 2]
    assert table.confidence.tolist() == [0.0, pytest.approx(0.15), 0.65]


def test_an_unknown_binning_is_refused():
    with pytest.raises(DataError, match="binning must be 'equal-width' or 'equal-mass', got 'quantile'"):
        reliability([[0.5, 0.5]], [0], binning="quantile")
