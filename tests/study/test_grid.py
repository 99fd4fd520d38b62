"""Lists of rates, spelled out."""

from dropkit.study.config import load_config
from dropkit.study.grid import candidates
from tests.study.test_config import SMALL, changed


def names(tables):
    return [candidate.name for candidate in candidates(load_config(tables))]


def test_a_plan_without_lists_is_its_own_candidate():
    assert names(SMALL) == ["none", "hidden"]
    none, hidden = candidates(load_config(SMALL))
    assert none.rules == ()
    assert [(rule.at, rule.rate) for rule in hidden.rules] == [("hidden", 0.5)]


def test_a_list_is_a_candidate_a_rate():
    tables = changed(["plans", "hidden", "rules", 0, "rate"], [0.3, 0.5])
    assert names(tables) == ["none", "hidden@0.3", "hidden@0.5"]
    found = candidates(load_config(tables))
    assert [c.plan for c in found] == ["none", "hidden", "hidden"]
    assert [c.rules[0].rate for c in found[1:]] == [0.3, 0.5]


def test_several_lists_are_their_product_and_single_rates_stay():
    rules = [
        {"at": "input", "rate": [0.1, 0.2]},
        {"at": "conv", "rate": 0.25},
        {"at": "hidden", "rate": [0.3, 0.5, 0.7]},
    ]
    found = candidates(load_config(changed(["plans", "both"], {"rules": rules})))[2:]
    assert [c.name for c in found] == [f"both@{a},{b}" for a in (0.1, 0.2) for b in (0.3, 0.5, 0.7)]
    assert [tuple(rule.rate for rule in c.rules) for c in found] == [
        (a, 0.25, b) for a in (0.1, 0.2) for b in (0.3, 0.5, 0.7)
    ]


def test_close_rates_have_different_names():
    tables = changed(["plans", "hidden", "rules", 0, "rate"], [0.3, 0.30000001])
    assert len(set(names(tables))) == 3
