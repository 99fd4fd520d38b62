"""What the metrics have in common."""

import pytest

from dropkit.core import DataError
from dropkit.stats import LARGER_IS_BETTER, classification_metrics, generalisation_gap, regression_metrics


def test_every_scalar_metric_says_which_way_is_better():
    names = {*classification_metrics([[0.5, 0.5]], [0]), *regression_metrics([1.0, 2.0], [1.0, 3.0])}
    assert names == set(LARGER_IS_BETTER)


def test_every_direction_is_right():
    good = classification_metrics([[0.9, 0.1], [0.1, 0.9]], [0, 1]) | regression_metrics(
        [1.0, 2.0], [1.0, 2.1]
    )
    bad = classification_metrics([[0.1, 0.9], [0.9, 0.1]], [0, 1]) | regression_metrics(
        [1.0, 9.0], [1.0, 2.1]
    )
    assert {name: good[name] > bad[name] for name in good} == dict(LARGER_IS_BETTER)


def test_gap_is_train_minus_test():
    gap = generalisation_gap({"error": 0.25, "loss": 1.0}, {"error": 0.5, "nll": 2.0})
    assert gap == {"error": -0.25}


def test_gap_without_a_common_metric_is_refused():
    with pytest.raises(DataError, match=r"train has \['a'\], test has \['b'\]"):
        generalisation_gap({"a": 1.0}, {"b": 1.0})
