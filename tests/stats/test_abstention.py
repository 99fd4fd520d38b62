import numpy as np
import pytest

from dropkit.core import DataError
from dropkit.stats import abstention_cost, choose_abstention

U, LOSS = [0.1, 0.2, 0.3, 0.4], [0.0, 1.0, 0.0, 5.0]


def test_cost_by_hand():
    assert abstention_cost(U, LOSS, 0.3, price=2.0) == (0 + 1 + 0 + 2) / 4
    assert abstention_cost(U, LOSS, -np.inf, price=2.0) == 2.0
    assert abstention_cost(U, LOSS, 9.0, price=2.0) == 6 / 4


def test_the_rule_is_the_best_of_all(numbers):
    for _ in range(30):
        uncertainty = numbers.random(60).round(1)  # with ties
        loss = numbers.choice([0.0, 1.0, 7.0], size=60)
        price = float(numbers.uniform(0.01, 4.0))
        rule = choose_abstention(uncertainty, loss, price=price)
        costs = {t: abstention_cost(uncertainty, loss, t, price=price) for t in [-np.inf, *uncertainty]}
        assert rule.cost == pytest.approx(min(costs.values()))
        assert costs[rule.value] == pytest.approx(rule.cost)
        answered = uncertainty <= rule.value
        assert rule.coverage == pytest.approx(answered.mean())
        if answered.any():
            assert rule.risk == pytest.approx(loss[answered].mean())


def test_of_equal_rules_the_one_that_answers_most():
    rule = choose_abstention([1.0, 2.0, 3.0], [0.5, 0.5, 0.5], price=0.5)
    assert rule == (3.0, 1.0, 0.5, 0.5)


def test_where_every_answer_is_too_dear_nothing_is_answered():
    rule = choose_abstention([0.1, 0.2], [3.0, 4.0], price=1.0)
    assert rule.value == -np.inf
    assert (rule.coverage, rule.cost) == (0.0, 1.0)
    assert np.isnan(rule.risk)


def test_with_honest_probabilities_it_is_chows_rule(numbers):
    wrong = numbers.random(200_000)  # 1 - confidence
    loss = (numbers.random(200_000) < wrong).astype(float)
    rule = choose_abstention(wrong, loss, price=0.3)
    # The cost as a function of the threshold t is 0.3 (1 - t) + t^2 / 2, known with a standard error of 1e-3: a t whose
    # expected cost is more than 0.01 above the least, that is |t - 0.3| > sqrt(0.02), is not chosen.
    assert abs(rule.value - 0.3) < 0.02**0.5


def test_bad_arguments():
    with pytest.raises(DataError, match="price must be positive"):
        choose_abstention(U, LOSS, price=0.0)
    with pytest.raises(DataError, match="must both have shape"):
        abstention_cost(U, LOSS[:2], 0.1, price=1.0)
