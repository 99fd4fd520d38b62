"""Laws of dropkit.nn.LearnableBernoulli; its estimator is in tests/objectives/test_arm.py."""

import math

import pytest
import torch

import dropkit as dk
from dropkit.core import DtypeError, OptionError, ShapeError
from tests.laws import assert_frequency


def test_each_unit_is_dropped_at_its_own_rate_or_scaled(seed):
    module = dk.nn.LearnableBernoulli(0.5, features=3)
    module.rate = torch.tensor([0.1, 0.4, 0.8])
    x = torch.linspace(1, 2, 60_000).view(20_000, 3)
    with dk.random.stream(seed):
        y = module(x)
    for unit, rate in enumerate((0.1, 0.4, 0.8)):
        gone = y[:, unit] == 0
        assert_frequency(gone, rate)
        torch.testing.assert_close(y[~gone, unit], x[~gone, unit] / (1 - rate))


def test_a_coin_covers_a_unit_with_features_and_an_element_without(seed):
    x = torch.ones(200, 3, 7)
    with dk.random.stream(seed):
        y = dk.nn.LearnableBernoulli(0.5, features=3)(x)
        z = dk.nn.LearnableBernoulli(0.5)(x)
    assert torch.equal(y, y[..., :1].expand_as(y))
    assert not torch.equal(z, z[..., :1].expand_as(z))


def test_a_shared_rate_is_dropout_bit_for_bit(seed):
    x = torch.linspace(-2, 2, 1000).view(50, 20)
    with dk.random.stream(seed):
        got = dk.nn.LearnableBernoulli(0.5, site="a")(x)
    with dk.random.stream(seed):
        assert torch.equal(got, dk.ops.dropout(x, 0.5, training=True, site="a"))


def test_the_penalty_is_the_negative_entropy():
    module = dk.nn.LearnableBernoulli(0.2, features=4, rate_penalty=3.0)
    expected = 3.0 * 4 * (0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert module.penalty().item() == pytest.approx(expected, rel=1e-5)


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(OptionError, match="rate_penalty must be at least 0, got -1"):
        dk.nn.LearnableBernoulli(0.2, rate_penalty=-1.0)
    with pytest.raises(ShapeError, match=r"has 3 units along axis 1, got an input of shape \(2, 4\)"):
        dk.nn.LearnableBernoulli(0.2, features=3)(torch.ones(2, 4))
    with pytest.raises(DtypeError, match="floating-point"):
        dk.nn.LearnableBernoulli(0.2).eval()(torch.ones(2).long())
