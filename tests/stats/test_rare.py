import numpy as np
import pytest

from dropkit.core import DataError
from dropkit.stats import (
    average_precision,
    case_costs,
    choose_threshold,
    expected_cost,
    rare_event_intervals,
    recall_at_precision,
)

S, Y = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 0, 0, 0]


def test_recall_at_precision_by_hand():
    assert recall_at_precision(S, Y, 1.0) == 0.5
    assert recall_at_precision(S, Y, 0.6) == 1.0
    assert recall_at_precision(S[::-1], Y, 0.9) == 0.0


def test_cost_by_hand():
    assert expected_cost(S, Y, 0.75, false_negative=10) == pytest.approx((10 + 1) / 6)
    assert expected_cost(S, Y, np.inf, false_negative=10, false_positive=3) == pytest.approx(20 / 6)


def test_the_threshold_is_the_best_of_all(numbers):
    scores, labels = numbers.random(120).round(2), (numbers.random(120) < 0.2).astype(int)
    labels[0] = 1
    for miss in (0.5, 3.0, 40.0):
        best = choose_threshold(scores, labels, false_negative=miss, false_positive=2.0)
        costs = [
            expected_cost(scores, labels, t, false_negative=miss, false_positive=2.0)
            for t in [*scores, np.inf]
        ]
        assert best.cost == pytest.approx(min(costs))
        assert expected_cost(
            scores, labels, best.value, false_negative=miss, false_positive=2.0
        ) == pytest.approx(best.cost)
        if np.isfinite(best.value):
            said = scores >= best.value
            assert best.recall == labels[said].sum() / labels.sum()
            assert best.precision == labels[said].mean()


def test_where_alarms_cost_too_much_nothing_is_called_positive():
    best = choose_threshold([0.9, 0.1], [0, 1], false_negative=1.0, false_positive=100.0)
    assert best.value == np.inf
    assert (best.recall, best.cost) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("labels", "text"), [([0, 0], "no positive case"), ([0, 2], "labels must be 0 or 1"), ([1], "shape")]
)
def test_bad_labels(labels, text):
    with pytest.raises(DataError, match=text):
        choose_threshold([0.1, 0.2], labels, false_negative=1.0)
    with pytest.raises(DataError, match="precision must be"):
        recall_at_precision(S, Y, 0.0)
    with pytest.raises(DataError, match="false_negative must be positive"):
        choose_threshold(S, Y, false_negative=0.0)


def test_what_each_case_costs_by_hand():
    assert case_costs(S, Y, 0.75, false_negative=10).tolist() == [0, 1, 10, 0, 0, 0]


def test_intervals_are_those_of_resampled_positives_and_negatives(numbers):
    labels = (numbers.random(150) < 0.15).astype(int)
    labels[:2] = [0, 1]
    scores = labels + numbers.normal(size=150)
    found = rare_event_intervals(
        scores, labels, threshold=0.7, false_negative=5.0, precision=0.4, alpha=0.2, resamples=30, seed=3
    )
    draw, order = np.random.default_rng(3), [np.flatnonzero(labels == k) for k in (0, 1)]
    every = {name: [] for name in found}
    for _ in range(30):
        rows = np.concatenate([rows[draw.integers(len(rows), size=len(rows))] for rows in order])
        s, y = scores[rows], labels[rows]
        every["average_precision"].append(average_precision(s[y == 1], s[y == 0]))
        every["recall_at_precision"].append(recall_at_precision(s, y, 0.4))
        every["expected_cost"].append(expected_cost(s, y, 0.7, false_negative=5.0))
        every["recall"].append((s[y == 1] >= 0.7).mean())
    for name, values in every.items():
        assert found[name][1:] == pytest.approx(tuple(np.quantile(values, [0.1, 0.9])))
        assert found[name].low <= found[name].high
    assert found["expected_cost"].value == expected_cost(scores, labels, 0.7, false_negative=5.0)
    assert found["recall"].value == (scores[labels == 1] >= 0.7).mean()


def test_intervals_need_both_kinds_of_cases():
    with pytest.raises(DataError, match="no negative case"):
        rare_event_intervals([0.1, 0.2], [1, 1], threshold=0.1, false_negative=1.0)
