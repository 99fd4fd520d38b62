"""Laws of dropkit.ops.drop_activation."""

import math

import pytest
import torch
from torch.nn import functional as F

from dropkit.ops import drop_activation
from dropkit.random import mask, stream
from tests.laws import assert_frequency


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_the_activation_is_applied_or_left_out(rate, seed):
    x = torch.linspace(-2, 1, 5000).view(50, 100)
    with stream(seed):
        y = drop_activation(x, rate, training=True, site="a")
    kept = torch.from_numpy(mask((50, 100), rate, seed=seed, site="a"))
    assert torch.equal(y, torch.where(kept, x.relu(), x))
    assert (y < 0).any()


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_negative_values_pass_with_the_rate(rate, rng):
    y = drop_activation(torch.full((100_000,), -1.0), rate, training=True, generator=rng)
    assert_frequency(y == -1, rate)
    assert set(y.unique().tolist()) == {-1.0, 0.0}


@pytest.mark.parametrize("rate", [0.0, 0.05, 1.0])
def test_outside_training_it_is_the_mean_a_leaky_relu(rate):
    x = torch.linspace(-2, 1, 50)
    expected = (1 - rate) * x.relu() + rate * x
    torch.testing.assert_close(drop_activation(x, rate, training=False), expected)
    assert torch.equal(drop_activation(x, rate, training=False), F.leaky_relu(x, rate))
    tensor = torch.tensor([rate])
    torch.testing.assert_close(drop_activation(x, tensor, training=False), expected)


def test_nothing_leaks_at_rate_zero_even_from_infinity():
    x = torch.tensor([-math.inf, math.inf])
    for rate in (0.0, torch.zeros(1)):
        for training in (True, False):
            assert torch.equal(drop_activation(x, rate, training=training), torch.tensor([0.0, math.inf]))


def test_the_gradient_follows_the_choice(seed):
    x = torch.linspace(-2, -1, 1000, requires_grad=True)
    with stream(seed):
        drop_activation(x, 0.3, training=True, site="a").sum().backward()
    kept = torch.from_numpy(mask(1000, 0.3, seed=seed, site="a"))
    assert torch.equal(x.grad, (~kept).float())
