"""Ready-made plans in a configuration."""

import pytest

from dropkit import records
from dropkit.core import ConfigError, PlanError
from dropkit.report.unfinished import points
from dropkit.study.config import load_config
from dropkit.study.grid import candidates
from dropkit.study.run import RunJob, work
from dropkit.study.text import config_text
from tests.study.small import study


def with_plan(table, **changes):
    return load_config(study(plans={"none": {"rules": []}, "paper": table}, **changes))


@pytest.mark.parametrize(
    ("table", "ready"),
    [
        ({"rules": "srivastava-2014"}, {"name": "srivastava-2014"}),
        ({"ready": {"name": "curriculum", "steps": 50}}, {"name": "curriculum", "steps": 50}),
    ],
)
def test_a_name_stands_for_rules_and_survives_its_text(table, ready, tmp_path):
    config = with_plan(table)
    assert candidates(config)[1].ready == ready
    file = tmp_path / "config.toml"
    file.write_text(config_text(config))
    assert load_config(file).plans == config.plans
    assert config.with_seeds(3).plans == config.plans
    assert config_text(load_config(file)) == config_text(config)
    assert points({"rules": "srivastava-2014"}) == points(table) == 1


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            {"rules": "srivastava"},
            "plans.paper.ready is no ready-made plan: unknown ready plan 'srivastava'; did you mean",
        ),
        (
            {"ready": {"name": "curriculum", "stesp": 3}},
            "plans.paper.ready .*no option 'stesp'; did you mean 'steps'",
        ),
        ({"ready": {"name": "curriculum", "rate": 1.7}}, "plans.paper.ready .*got 1.7"),
        ({"ready": {"name": "curriculum", "rate": [0.1]}}, "plans.paper.ready "),
        ({"ready": "curriculum"}, "plans.paper.ready must be a table with the name"),
        (
            {"ready": {"name": "curriculum"}, "rules": "curriculum"},
            "plans.paper must hold rules or ready, not both",
        ),
        (
            {"ready": {"name": "curriculum"}, "rules": [{"at": "fc"}]},
            "plans.paper must hold rules or ready, not both",
        ),
        ({}, "plans.paper.rules is missing"),
    ],
)
def test_what_is_no_ready_made_plan_is_one_line_with_its_place(table, text):
    with pytest.raises(ConfigError, match=f"config: {text}") as caught:
        with_plan(table)
    assert "\n" not in str(caught.value)


def test_a_run_under_it_is_that_of_its_rules(tmp_path):
    rules = [{"at": "input", "rate": 0.2}, {"at": "hidden", "rate": 0.5}]
    found = []
    for folder, table in (("name", {"rules": "srivastava-2014"}), ("rules", {"rules": rules})):
        config = with_plan(table)
        job = RunJob(config, candidates(config)[1], 3, tmp_path / folder)
        work(job, lambda message: None)
        found.append(records.read_run(job.folder / "runs" / "paper--3.json"))
    assert found[0] == found[1]


def test_a_model_that_lacks_its_parts_is_named(tmp_path):
    config = with_plan({"rules": "awd-lstm"})
    job = RunJob(config, candidates(config)[1], 3, tmp_path)
    with pytest.raises(PlanError, match=r"plans.paper: .*no LSTM, GRU or RNN"):
        work(job, lambda message: None)
