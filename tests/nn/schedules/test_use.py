"""Schedules at work: in layers, in copies, in compiled code, and as data."""

import copy
import json
import pickle

import pytest
import torch
from torch._dynamo.testing import CompileCounter

import dropkit as dk
from dropkit.core import OptionError, RateError, StreamError, UnknownNameError
from dropkit.nn import (
    AnnealedSchedule,
    ByEpoch,
    CallableSchedule,
    CosineSchedule,
    CurriculumSchedule,
    EarlyDropout,
    LateDropout,
    LinearSchedule,
)
from dropkit.random import stream

SCHEDULES = [
    LinearSchedule(0.1, 0.9, 5),
    CosineSchedule(0.1, 0.9, 5),
    AnnealedSchedule(0.9, 5),
    CurriculumSchedule(0.9, 0.5),
    EarlyDropout(0.9, 3),
    LateDropout(0.9, 3),
    ByEpoch(AnnealedSchedule(0.9, 3), 2),
]
every = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda v: type(v).__name__)


@every
def test_a_layer_drops_at_the_rate_of_the_step(schedule, seed):
    layer, fixed = dk.nn.Dropout(schedule, site="a"), dk.nn.Dropout(0.0, site="a")
    x, seen = torch.ones(30, 30), set()
    with stream(seed) as s:
        for step in range(7):
            got = layer(x)
            fixed.rate = schedule.at(step)
            with stream(seed, step=step):
                assert torch.equal(got, fixed(x))
            seen.add(fixed.rate)
            s.advance()
    assert len(seen) > 1


@every
def test_data_brings_it_back(schedule):
    data = json.loads(json.dumps(dk.nn.schedule_to_dict(schedule)))
    assert dk.nn.schedule_from_dict(data) == schedule
    assert type(dk.nn.schedule_from_dict(data)) is type(schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert copy.deepcopy(schedule) is schedule
    assert repr(schedule).startswith(type(schedule).__name__ + "(")


def test_a_changing_rate_compiles_nothing_again(seed):
    torch.compiler.reset()
    counter, x = CompileCounter(), torch.ones(30, 30)
    layer = dk.nn.Dropout(ByEpoch(LinearSchedule(0.1, 0.9, 3), 2), site="a")
    compiled = torch.compile(layer, backend=counter, fullgraph=True)
    for step in range(8):
        with stream(seed, step=step):
            got = compiled(x)
        with stream(seed, step=step):
            assert torch.equal(got, layer(x))
    assert counter.frame_count == 1
    torch.compiler.reset()


def test_code_cannot_be_saved():
    with pytest.raises(OptionError, match="cannot be saved, as it is code and not numbers; use one of"):
        dk.nn.schedule_to_dict(CallableSchedule(lambda step: 0.5))
    with pytest.raises(OptionError, match="cannot be saved"):
        dk.nn.schedule_to_dict(ByEpoch(CallableSchedule(lambda step: 0.5), 3))


def test_a_function_that_returns_no_rate_is_named_with_the_step(seed):
    layer = dk.nn.Dropout(CallableSchedule(lambda step: 2.0 * step))
    with stream(seed, step=1), pytest.raises(RateError, match=r"CallableSchedule.* at step 1 must be in"):
        layer(torch.ones(2))


def test_without_a_stream_there_is_no_step():
    layer = dk.nn.Dropout(LateDropout(0.5, 3))
    with pytest.raises(StreamError, match=r"LateDropout\(rate=0.5, steps=3\) depends on the step"):
        layer(torch.ones(2))
    x = torch.ones(2)
    assert layer.eval()(x) is x


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        ({"name": "linar_schedule"}, UnknownNameError, "did you mean 'linear_schedule'"),
        ({"rate": 0.5}, OptionError, "with the key 'name', got"),
        ([1], OptionError, "with the key 'name', got"),
        ({"name": "annealed", "rate": 0.5}, OptionError, "'annealed' lacks steps"),
        (
            {"name": "annealed", "rate": 0.5, "steps": 3, "end": 1},
            OptionError,
            "no argument 'end'; it takes rate",
        ),
        ({"name": "annealed", "rate": 1.5, "steps": 3}, RateError, "rate must be"),
        (
            {"name": "by_epoch", "schedule": {"name": "late_dropout"}, "steps_per_epoch": 3},
            OptionError,
            "lacks rate",
        ),
        ({"name": "by_epoch", "schedule": 0.5, "steps_per_epoch": 3}, OptionError, "must be a Schedule"),
    ],
)
def test_bad_data_is_named(data, error, text):
    with pytest.raises(error, match=text):
        dk.nn.schedule_from_dict(data)


def test_arguments_with_a_default_may_be_left_out():
    data = {"name": "early_dropout", "rate": 0.5, "steps": 3}
    assert dk.nn.schedule_from_dict(data) == EarlyDropout(0.5, 3, "linear")
