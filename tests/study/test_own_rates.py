"""Rates of the dropout that a model already has: how a plan sets them, and for how long."""

import pytest
import torch

import dropkit as dk
from dropkit import records
from dropkit.core import ConfigError, PlanError
from dropkit.report.unfinished import points
from dropkit.study.config import load_config
from dropkit.study.grid import candidates
from dropkit.study.material import build, load, with_plan
from dropkit.study.run import RunJob, work
from dropkit.study.text import config_text
from tests.study.small import study

MODEL = {"name": "tests.study.factories:noisy_net"}


def with_rates(*own_rates, rules=()):
    plans = {"none": {"rules": []}, "own": {"rules": list(rules), "own_rates": list(own_rates)}}
    return load_config(study(model=MODEL, plans=plans))


def test_text_and_seeds_keep_them(tmp_path):
    config = with_rates({"rate": [0.1, 0.2]}, {"at": ["drop", ":dropout#0"], "rate": 0.0})
    file = tmp_path / "config.toml"
    file.write_text(config_text(config))
    assert load_config(file).plans == config.plans == config.with_seeds(3).plans
    assert "own_rates" not in config_text(load_config(study()))


def test_lists_come_after_those_of_the_rules():
    rules = [{"at": "hidden", "rate": [0.3, 0.5]}]
    config = with_rates({"rate": 0.4}, {"at": "drop", "rate": [0.1, 0.2]}, rules=rules)
    _, *found = candidates(config)
    assert [c.name for c in found] == [f"own@{a},{b}" for a in (0.3, 0.5) for b in (0.1, 0.2)]
    assert [[own.rate for own in c.own_rates] for c in found] == [[0.4, 0.1], [0.4, 0.2]] * 2
    assert points({"rules": rules, "own_rates": [{"rate": 0.4}, {"rate": [0.1, 0.2, 0.3]}]}) == 6


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ({"rate": 1.5}, r"plans.own.own_rates\[0\].rate must be in \[0, 1\], got 1.5"),
        ({"at": "drop"}, r"plans.own.own_rates\[0\].rate is missing"),
        ({"rate": 0.1, "on": "input"}, "unknown key 'on'"),
    ],
)
def test_what_is_no_rate_is_refused(own, text):
    with pytest.raises(ConfigError, match=text):
        with_rates(own)


def test_rates_hold_while_the_plan_acts():
    config = with_rates({"rate": 1.0}, {"at": "drop", "rate": 0.25}, rules=[{"at": "hidden", "rate": 0.5}])
    data = load(config, 0)
    model = build(config, data, 0)
    x = torch.ones(2, 4)
    with with_plan(candidates(config)[1], model, data):
        assert model.drop.p == 0.25
        assert torch.equal(model.train()(x), model.last.bias.expand(2, -1))  # its call drops everything
    assert model.drop.p == 0.5
    assert "forward" not in vars(model)
    assert dk.audit(model, x).sites[1].rate == 0.2


def test_a_rate_that_matches_nothing_names_the_plan_and_leaves_nothing():
    config = with_rates({"rate": 0.1}, {"at": "dorp", "rate": 0.1})
    data = load(config, 0)
    model = build(config, data, 0)
    with pytest.raises(PlanError, match=r"plans\.own: at='dorp' matches no rate"):
        with_plan(candidates(config)[1], model, data)
    assert model.drop.p == 0.5


def test_a_run_trains_with_them(tmp_path):
    none, as_it_is, off = (
        _trained(with_rates(*own), plan, tmp_path / name)
        for name, plan, own in (
            ("none", 0, []),
            ("same", 1, [{"rate": 0.9}, {"at": ":dropout#0", "rate": 0.2}, {"at": "drop", "rate": 0.5}]),
            ("off", 1, [{"rate": 0.0}]),
        )
    )
    assert none == as_it_is  # the last rate of a site wins
    assert off != none


def _trained(config, plan, folder):
    candidate = candidates(config)[plan]
    work(RunJob(config, candidate, 0, folder), lambda sent: None)
    return records.read_run(records.run_path(folder, candidate.name, 0)).epochs
