"""The Brier score and its parts."""

from itertools import pairwise

import numpy as np
import pytest

from dropkit.core import DataError
from dropkit.stats import brier


def drawn(numbers, n, classes):
    """Probabilities, and labels drawn from them."""
    p = numbers.dirichlet(np.ones(classes), n)
    return p, (p.cumsum(axis=1) < numbers.random((n, 1))).sum(axis=1).clip(max=classes - 1)


@pytest.mark.parametrize("binning", ["equal-width", "equal-mass"])
def test_brier_adds_up_and_is_its_definition(binning, numbers):
    p, y = drawn(numbers, 500, 3)
    parts = brier(p, y, binning=binning)
    assert parts.score == pytest.approx(((p - np.eye(3)[y]) ** 2).sum(axis=1).mean())
    assert parts.reliability - parts.resolution + parts.uncertainty + parts.within == pytest.approx(
        parts.score
    )
    assert min(parts.reliability, parts.resolution, parts.uncertainty) > 0
    constant = np.tile(np.bincount(y, minlength=3) / 500, (500, 1))
    parts = brier(constant, y)
    assert parts.score == pytest.approx(parts.uncertainty)
    assert max(parts.reliability, parts.resolution, abs(parts.within)) < 1e-12


def test_brier_of_certain_forecasts():
    right = brier(np.eye(2)[[0, 1, 1, 0]], [0, 1, 1, 0])
    assert (right.score, right.reliability, right.resolution, right.uncertainty) == (0.0, 0.0, 0.5, 0.5)
    assert brier(np.eye(2)[[0, 1, 1, 0]], [1, 0, 0, 1]).score == 2.0


def test_forecasts_of_few_values_need_no_fourth_part(numbers):
    """Murphy's identity: where all forecasts of a bin are equal, three parts are the score."""
    for n in (1, 2, 30, 400):
        p = numbers.multinomial(4, np.full(3, 1 / 3), n) / 4
        y = numbers.integers(3, size=n)
        parts = brier(p, y)
        assert parts.within == pytest.approx(0, abs=1e-12)
        assert parts.reliability - parts.resolution + parts.uncertainty == pytest.approx(
            parts.score, abs=1e-12
        )
        reliability = resolution = 0.0
        for c in range(3):
            for value in np.unique(p[:, c]):
                rows = p[:, c] == value
                frequency = (y[rows] == c).mean()
                reliability += rows.mean() * (value - frequency) ** 2
                resolution += rows.mean() * (frequency - (y == c).mean()) ** 2
        assert parts.reliability == pytest.approx(reliability, abs=1e-12)
        assert parts.resolution == pytest.approx(resolution, abs=1e-12)
        shares = np.bincount(y, minlength=3) / n
        assert parts.uncertainty == pytest.approx((shares * (1 - shares)).sum(), abs=1e-12)


@pytest.mark.parametrize("binning", ["equal-width", "equal-mass"])
def test_the_fourth_part_is_variance_less_covariance_within_bins(binning, numbers):
    p, y = drawn(numbers, 300, 2)
    within = 0.0
    edges = np.linspace(0, 1, 6)
    for c in range(2):
        if binning == "equal-mass":
            edges = np.concatenate(([-1], np.sort(p[:, c])[59::60]))
        for low, high in pairwise(edges):
            rows = (p[:, c] > low) & (p[:, c] <= high)
            forecast, outcome = p[rows, c], (y[rows] == c).astype(float)
            within += rows.mean() * (forecast.var() - 2 * np.cov(forecast, outcome, bias=True)[0, 1])
    assert brier(p, y, bins=5, binning=binning).within == pytest.approx(within, abs=1e-12)


def test_bad_input():
    with pytest.raises(DataError, match="bins must be a whole number of at least 1, got"):
        brier([[0.5, 0.5]], [0], bins=2.5)
