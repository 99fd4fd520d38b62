"""Laws of dropkit.nn.DropIn."""

import torch
from torch import nn

import dropkit as dk
from dropkit.random import Schedule
from tests.laws import assert_frequency


class Decay(Schedule):
    def at(self, step):
        return 1.0 - step / 4


def test_units_come_from_the_layer_or_from_its_input(seed):
    layer, x = nn.Linear(3, 3), torch.randn(20_000, 3)
    module = dk.nn.DropIn(layer, 0.3)
    with dk.random.stream(seed):
        y = module(x)
    is_old, is_new = y == x, y == layer(x)
    assert (is_old ^ is_new).all()
    assert_frequency(is_old, 0.3)
    torch.testing.assert_close(module.eval()(x), 0.7 * layer(x) + 0.3 * x)


def test_a_schedule_brings_the_layer_in(seed):
    layer, x = nn.Linear(3, 3), torch.randn(4000, 3)
    module, shares = dk.nn.DropIn(layer, Decay()), []
    with dk.random.stream(seed) as stream:
        for _ in range(5):
            shares.append((module(x) == x).double().mean().item())
            stream.advance()
    assert shares[0] == 1.0
    assert shares[4] == 0.0
    assert shares == sorted(shares, reverse=True)
    assert len(set(shares)) == 5


def test_only_units_that_are_in_train_the_layer(seed):
    layer = nn.Linear(3, 3)
    with dk.random.stream(seed):
        dk.nn.DropIn(layer, 1.0)(torch.ones(4, 3)).sum().backward()
    assert not layer.weight.grad.any()
    with dk.random.stream(seed):
        dk.nn.DropIn(layer, 0.0)(torch.ones(4, 3)).sum().backward()
    assert layer.weight.grad.all()
