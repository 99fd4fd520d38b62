"""Laws of dropkit.nn.Conditional."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import OptionError, RateError


class Constant(nn.Module):
    """Returns the same rates whatever it is given, shape ``(N, *shape)``."""

    def __init__(self, rate, *shape):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(rate, dtype=torch.float64))
        self.shape = shape

    def forward(self, x):
        return self.rate.expand(len(x), *self.shape)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_constant_network_is_dropout_bit_for_bit(rate, seed):
    x = torch.linspace(-2, 2, 1000).view(50, 20)
    with dk.random.stream(seed):
        got = dk.nn.Conditional(Constant(rate, 20), site="a")(x)
    with dk.random.stream(seed):
        expected = dk.nn.Dropout(rate, site="a")(x)
    assert torch.equal(got, expected)
    assert 0 < int((got == 0).sum()) < 1000


def test_one_rate_a_sample_drops_samples(seed):
    x = torch.ones(2000, 3, 2)
    with dk.random.stream(seed):
        y = dk.nn.Conditional(Constant(0.3), site="a")(x)
    with dk.random.stream(seed):
        assert torch.equal(y, dk.nn.DropPath(0.3, site="a")(x))


def test_rates_may_come_from_a_context():
    x, context = torch.ones(2, 50), torch.tensor([[0.0], [1.0]])
    y = dk.nn.Conditional(nn.Identity())(x, context)
    assert torch.equal(y, torch.stack((torch.ones(50), torch.zeros(50))))


def test_a_relaxed_mask_gives_the_network_the_gradient_of_its_rates(seed):
    x = torch.linspace(0.5, 2, 1000, dtype=torch.float64).view(50, 20)
    module = dk.nn.Conditional(Constant(0.3, 20), relaxed=True, temperature=0.5, site="a")
    with dk.random.stream(seed):
        module(x).sum().backward()
    rates = torch.full((50, 20), 0.3, dtype=torch.float64, requires_grad=True)
    with dk.random.stream(seed):
        dk.ops.concrete_dropout(x, rates, training=True, temperature=0.5, site="a").sum().backward()
    torch.testing.assert_close(module.network.rate.grad, rates.grad.sum())
    assert rates.grad.abs().sum() > 0


def test_hard_masks_give_the_network_no_gradient():
    module = dk.nn.Conditional(Constant(0.5, 20))
    x = torch.ones(50, 20, requires_grad=True)
    module(x).sum().backward()
    assert module.network.rate.grad is None
    assert x.grad.sum() > 0


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got a tensor with"):
        dk.nn.Conditional(Constant(1.5, 3))(torch.ones(2, 3))
    with pytest.raises(OptionError, match="temperature must be positive"):
        dk.nn.Conditional(nn.Identity(), temperature=0.0)
