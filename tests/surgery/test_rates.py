"""Rates of rules that are no numbers: schedules, functions, depth; as data, in tables, at work and compiled."""

import copy
import json
import pickle

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

import dropkit as dk
from dropkit.core import InputError, OptionError, PlanError, RateError, StreamError, UnknownNameError
from dropkit.nn import (
    AnnealedSchedule,
    ByEpoch,
    CallableSchedule,
    CosineSchedule,
    CurriculumSchedule,
    EarlyDropout,
    LateDropout,
    LinearByDepth,
    LinearSchedule,
)
from dropkit.random import Schedule, stream
from dropkit.surgery import Plan

from .models import MLP, Functional

SCHEDULES = [
    AnnealedSchedule(0.9, 5),
    ByEpoch(LinearSchedule(0.2, 0.8, 3), 2),
    CosineSchedule(0.1, 0.9, 6),
    CurriculumSchedule(0.8, 0.5),
    EarlyDropout(0.6, 3),
    LateDropout(0.6, 3),
    LinearSchedule(0.1, 0.9, 6),
]
every = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda v: type(v).__name__)


@every
@pytest.mark.parametrize("on", ["output", "input"])
def test_a_site_drops_at_the_rate_of_the_step(schedule, on, seed, rng):
    model, x = Functional(), torch.randn(16, 6)
    rule = dk.Rule(at="hidden", rate=schedule, on=on)
    plan = dk.plan(model, [rule], example_inputs=x)
    assert len(plan.sites) > 5
    rates = set()
    with stream(seed) as s:
        for step in range(8):
            with plan.apply(model):
                got = model(x)
            fixed = dk.plan(model, [dk.Rule(at="hidden", rate=schedule.at(step), on=on)], example_inputs=x)
            with stream(seed, step=step), fixed.apply(model):
                assert torch.equal(got, model(x))
            rates.add(schedule.at(step))
            dk.step()
        assert s.step == 8
    assert len(rates) > 1


@every
def test_plans_with_schedules_are_hashable_data(schedule):
    plan = dk.plan(MLP(), [dk.Rule(at="hidden", rate=schedule)])
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert hash(again) == hash(plan)
    assert [site.rate for site in again.sites] == [schedule] * 2
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert copy.deepcopy(plan) == plan
    assert plan != dk.plan(MLP(), [dk.Rule(at="hidden", rate=0.5)])
    lines = str(plan).splitlines()
    assert sum(repr(schedule) in line for line in lines) == 2


def test_a_plan_read_back_drops_as_the_one_that_was_written(seed):
    model, x = MLP(), torch.randn(8, 6)
    plan = dk.plan(model, [dk.Rule(at="hidden", rate=LinearSchedule(0.1, 0.9, 6))])
    found = []
    for one in (plan, Plan.from_json(plan.to_json())):
        with one.apply(model), stream(seed, step=4):
            found.append(model(x))
    assert torch.equal(*found)


def test_any_function_will_do_but_cannot_be_written(seed):
    model, x = MLP(), torch.ones(64, 6)
    plan = dk.plan(model, [dk.Rule(at="hidden", rate=lambda step: 1.0 if step == 2 else 0.0)])
    assert isinstance(plan.rules[0].rate, CallableSchedule)
    assert hash(plan) == hash(copy.deepcopy(plan))
    plain = model(x)
    with plan.apply(model), stream(seed) as s:
        for step in range(4):
            assert torch.equal(model(x), plain) is (step != 2)
            s.advance()
    with pytest.raises(
        PlanError, match=r"rule at 'hidden': CallableSchedule\(.* cannot be saved, as it is code"
    ):
        plan.to_json()


def test_a_schedule_of_ones_own_cannot_be_written():
    class Mine(Schedule):
        def at(self, step):
            return 0.5

    with pytest.raises(PlanError, match=r"rule at 'net.1': .*Mine.* cannot be saved"):
        dk.plan(MLP(), [dk.Rule(at="net.1", rate=Mine())]).to_json()


def test_without_a_stream_nothing_tells_the_step():
    model = MLP()
    with dk.plan(model, [dk.Rule(at="hidden", rate=AnnealedSchedule(0.5, 9))]).apply(model):
        with pytest.raises(StreamError, match=r"AnnealedSchedule\(rate=0.5, steps=9\) depends on the step"):
            model(torch.ones(2, 6))
        model.eval()(torch.ones(2, 6))  # nothing is dropped, nothing is asked


def test_a_value_that_is_no_rate_is_named_with_its_step(seed):
    model = MLP()
    plan = dk.plan(model, [dk.Rule(at="hidden", rate=lambda step: step * 0.6)])
    with plan.apply(model), stream(seed) as s:
        for _ in range(2):
            model(torch.ones(2, 6))
            s.advance()
        with pytest.raises(RateError, match=r"at step 2 must be in \[0, 1\], got 1.2"):
            model(torch.ones(2, 6))


def test_steps_compile_nothing_again(seed):
    torch.compiler.reset()
    model, x, counter = MLP(), torch.randn(8, 6), CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    plan = dk.plan(model, [dk.Rule(at="hidden", rate=LinearSchedule(0.0, 1.0, 20))])
    with plan.apply(model), stream(seed) as s:
        for step in range(20):
            with stream(seed, step=step):
                expected = model(x)
            torch.testing.assert_close(compiled(x), expected)
            s.advance()
    assert counter.frame_count == 1
    torch.compiler.reset()


def test_rates_grow_with_depth():
    model = nn.Sequential(*(nn.Sequential(nn.Linear(3, 3), nn.ReLU()) for _ in range(4)))
    plan = dk.plan(model, [dk.Rule(at="hidden", rate=LinearByDepth(0.4))])
    assert [site.rate for site in plan.sites] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    part = dk.plan(model, [dk.Rule(at="hidden", rate=LinearByDepth(0.4, from_zero=True), except_=["1.1"])])
    assert [(site.id, site.rate) for site in part.sites] == [("0.1", 0.0), ("2.1", 0.2), ("3.1", 0.4)]
    assert Plan.from_json(part.to_json()) == part
    assert hash(part) == hash(Plan.from_json(part.to_json()))
    body = json.loads(part.to_json())
    body["sites"][0]["rate"] = {"name": "linear_by_depth", "rate": 0.5}
    with pytest.raises(PlanError, match=r"site '0.1': a site has a rate of its own"):
        Plan.from_json(json.dumps(body))


def test_plain_data_will_do_as_a_rate():
    given = {"name": "linear", "start": 0.5, "end": 0.0, "steps": 10}
    assert dk.Rule(at="fc", rate=given) == dk.Rule(at="fc", rate=LinearSchedule(0.5, 0.0, 10))


@pytest.mark.parametrize(
    ("rate", "error", "text"),
    [
        ({"name": "linaer"}, UnknownNameError, "did you mean 'linear"),
        ({"name": "annealed", "rate": 2.0, "steps": 3}, RateError, r"rate must be in \[0, 1\], got 2.0"),
        ({"rate": 0.5}, OptionError, "the key 'name'"),
        (torch.nn, RateError, "must be a number"),
    ],
)
def test_what_is_no_rate_is_refused(rate, error, text):
    with pytest.raises(error, match=text) as caught:
        dk.Rule(at="fc", rate=rate)
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize(
    "arguments", [{"options": {"scaling": "test"}}, {"variant": "shake_drop"}], ids=["scaling", "variant"]
)
def test_a_schedule_is_refused_where_eval_mode_would_ask_for_a_step(arguments):
    with pytest.raises(PlanError, match="acts in eval mode, too, where no step tells"):
        dk.Rule(at="hidden", rate=AnnealedSchedule(0.5, 9), **arguments)


def test_prediction_asks_schedules_at_the_step_of_its_caller(seed):
    model, x = MLP(), torch.randn(5, 6)
    plan = dk.plan(model, [dk.Rule(at="hidden", rate=LinearSchedule(0.0, 0.8, 10))])
    fixed = dk.plan(model, [dk.Rule(at="hidden", rate=0.4)])
    with plan.apply(model):
        with stream(seed, step=5):
            got = dk.predict(model, x, members=4, seed=seed, mode="loop")
        with pytest.raises(StreamError, match="depends on the step"):
            dk.predict(model, x, members=4, seed=seed, mode="loop")
        assert isinstance(
            next(iter(model.net[1]._forward_hooks.values())).rate, Schedule
        )  # the model keeps it
        assert "unknown" in str(dk.audit(model, x))
    with fixed.apply(model):
        expected = dk.predict(model, x, members=4, seed=seed, mode="loop")
    assert torch.equal(got.mean, expected.mean)
    layer = nn.Sequential(dk.nn.Dropout(LinearSchedule(0.0, 0.8, 10), site="a"), nn.Linear(6, 2))
    with stream(seed, step=5):
        dk.predict(layer, x, members=40, seed=seed)
    assert isinstance(layer[0].rate, Schedule)
