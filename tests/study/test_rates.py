"""Schedules in a configuration: how they are written, what is refused, and that training moves them."""

import pytest

import dropkit as dk
from dropkit import records
from dropkit.core import ConfigError
from dropkit.nn import ByEpoch, EarlyDropout, LinearByDepth, LinearSchedule
from dropkit.random.stream import innermost
from dropkit.study import reopen, sample
from dropkit.study.config import load_config
from dropkit.study.grid import candidates
from dropkit.study.rates import schedule_data
from dropkit.study.run import RunJob, work
from dropkit.study.text import config_text
from dropkit.surgery import Rule
from tests.study.small import study

LINE = {"schedule": "linear", "start": 0.5, "end": 0.0, "steps": 100}


def with_rate(rate, **changes):
    rules = [{"at": "hidden", "rate": rate}]
    return load_config(study(plans={"none": {"rules": []}, "hidden": {"rules": rules}}, **changes))


@pytest.mark.parametrize(
    ("table", "schedule"),
    [
        (LINE, LinearSchedule(0.5, 0.0, 100)),
        ({**LINE, "steps_per_epoch": 7}, ByEpoch(LinearSchedule(0.5, 0.0, 100), 7)),
        ({"schedule": "early_dropout", "rate": 0.1, "steps": 9}, EarlyDropout(0.1, 9)),
        ({"schedule": "linear_by_depth", "rate": 0.2}, LinearByDepth(0.2)),
    ],
)
def test_a_table_is_a_schedule_and_survives_its_text(table, schedule, tmp_path):
    config = with_rate(table)
    rate = config.plans["hidden"].rules[0].rate
    assert Rule(at="hidden", rate=schedule_data(rate)).rate == schedule
    file = tmp_path / "config.toml"
    file.write_text(config_text(config))
    assert load_config(file).plans == config.plans
    assert config_text(load_config(file)) == config_text(config)
    assert [candidate.name for candidate in candidates(config)] == ["none", "hidden"]
    assert config.with_seeds(3).plans == config.plans


def test_numbers_stay_numbers():
    assert schedule_data(0.5) == 0.5
    assert schedule_data(None) is None


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"schedule": "linaer"}, "is no schedule: unknown schedule 'linaer'; did you mean 'linear'?"),
        ({"start": 0.5}, "must name its schedule"),
        ({**LINE, "steps": 0}, "is no schedule: steps must be a whole number of at least 1, got 0"),
        ({**LINE, "start": 1.7}, r"is no schedule: start must be in \[0, 1\], got 1.7"),
        ({**LINE, "stpes": 1}, "is no schedule: schedule 'linear_schedule' has no argument 'stpes'"),
        ({"schedule": "linear", "start": 0.1}, "is no schedule: schedule 'linear_schedule' lacks end, steps"),
        ({**LINE, "steps_per_epoch": 0}, "is no schedule: steps_per_epoch must be"),
        ([LINE, 0.5], "must be a number"),
    ],
)
def test_what_is_no_schedule_is_one_line_with_its_place(table, text):
    with pytest.raises(ConfigError, match=r"config: plans.hidden.rules\[0\].rate " + text) as caught:
        with_rate(table)
    assert "\n" not in str(caught.value)


@pytest.fixture
def epochs(tmp_path):
    def run(plan, rate, **changes):
        config = with_rate(rate, data={"name": "digits"}, model={"name": "mlp", "widths": [16]}, **changes)
        found = {candidate.name: candidate for candidate in candidates(config)}[plan]
        job = RunJob(config, found, 3, tmp_path / f"{plan}-{rate}")
        work(job, lambda message: None)
        record = records.read_run(job.folder / "runs" / f"{plan}--3.json")
        return [epoch.train for epoch in record.epochs]

    return run


def test_training_on_digits_moves_schedules_with_its_optimiser_steps(epochs):
    train = {"epochs": 3, "batch": 100, "lr": 0.1}  # 8 steps an epoch
    plain = epochs("none", 0.5, train=train)
    late = {"schedule": "late_dropout", "rate": 0.9}
    assert epochs("hidden", {**late, "steps": 24}, train=train) == plain
    second = epochs("hidden", {**late, "steps": 15}, train=train)
    assert second[0] == plain[0]
    assert second[1] != plain[1]
    assert epochs("hidden", {**late, "steps": 1, "steps_per_epoch": 8}, train=train)[0] == plain[0]
    constant = {"schedule": "linear", "start": 0.9, "end": 0.9, "steps": 1}
    assert epochs("hidden", constant, train=train) == epochs("hidden", 0.9, train=train)


def test_a_finished_run_is_asked_at_the_rate_that_its_schedule_ended_with(tmp_path):
    rate = {"schedule": "linear", "start": 0.0, "end": 0.8, "steps": 10}
    plans = {"none": {"rules": []}, "hidden": {"rules": [{"at": "hidden", "rate": rate}]}}
    dk.run_study(study(plans=plans, keep_weights=True), out=tmp_path / "study", workers=1)
    with reopen(tmp_path / "study", "hidden", 0) as run:
        steps = 2 * -(-len(run.data.train) // 16)
        assert innermost().step == steps - 1
        found = sample(run, run.data.test, members=4, mode="loop")
        assert found.variance.max() > 0
    assert innermost() is None
