"""dropkit.nn.ScheduledDropPath."""

import pytest
import torch

import dropkit as dk
from dropkit.core import OptionError, RateError
from dropkit.random import stream


def test_it_is_drop_path_with_a_rate_that_grows(seed):
    module, x = dk.nn.ScheduledDropPath(0.8, 4, depth=0.5, site="a"), torch.ones(200, 2)
    for step, rate in ((0, 0.0), (1, 0.1), (2, 0.2), (4, 0.4), (9, 0.4)):
        with stream(seed, step=step):
            got = module(x)
        with stream(seed, step=step):
            assert torch.equal(got, dk.ops.drop_path(x, rate, training=True, site="a"))
    assert module.eval()(x) is x
    assert repr(module) == "ScheduledDropPath(rate=LinearSchedule(start=0.0, end=0.4, steps=4), site='a')"


def test_bad_arguments_are_named():
    with pytest.raises(RateError, match="depth must be in"):
        dk.nn.ScheduledDropPath(0.5, 10, depth=2.0)
    with pytest.raises(RateError, match="rate must be in"):
        dk.nn.ScheduledDropPath(1.5, 10)
    with pytest.raises(OptionError, match="steps must be"):
        dk.nn.ScheduledDropPath(0.5, 0)
