"""Laws of dropkit.nn.Standout."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import OptionError
from tests.laws import assert_frequency


def identity(*, bias=0.0):
    layer = nn.Linear(3, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(3))
        layer.bias.fill_(bias)
    return layer


@pytest.mark.parametrize("alpha", [1.0, -2.0])
@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_units_are_kept_by_their_drive(alpha, beta, seed):
    drive = torch.tensor([0.2, 1.0, 2.0])
    module = dk.nn.Standout(identity(bias=0.1), alpha=alpha, beta=beta)
    with dk.random.stream(seed):
        y = module((drive - 0.1).expand(50_000, 3)).detach()
    for unit in range(3):
        gone = y[:, unit] == 0
        assert_frequency(gone, torch.sigmoid(-(alpha * drive[unit] + beta)).item())
        torch.testing.assert_close(y[~gone, unit], drive[unit].expand(int((~gone).sum())))


@pytest.mark.parametrize("beta", [-1.5, 0.0, 0.7])
def test_without_alpha_it_is_dropout_scaled_at_test_time(beta, seed):
    layer = nn.Linear(4, 5)
    x = torch.randn(60, 4)
    rate = torch.sigmoid(torch.tensor(-beta, dtype=torch.float64)).item()
    module = dk.nn.Standout(layer, nn.Tanh(), alpha=0.0, beta=beta, site="a")
    plain = nn.Sequential(layer, nn.Tanh(), dk.nn.Dropout(rate, scaling="test", site="a"))
    with dk.random.stream(seed):
        got = module(x)
    with dk.random.stream(seed):
        assert torch.equal(got, plain(x))
    assert 0 < int((got == 0).sum()) < got.numel()
    torch.testing.assert_close(module.eval()(x), plain.eval()(x))


def test_eval_mode_is_the_mean():
    module = dk.nn.Standout(identity(), alpha=2.0, beta=0.5).eval()
    x = torch.tensor([[-1.0, 0.5, 2.0]])
    torch.testing.assert_close(module(x), x.relu() * torch.sigmoid(2.0 * x + 0.5))


def test_no_gradient_goes_through_the_probability(seed):
    layer, x = identity(), torch.full((200, 3), 0.5)
    with dk.random.stream(seed):
        y = dk.nn.Standout(layer)(x)
    y.sum().backward()
    torch.testing.assert_close(layer.bias.grad, (y != 0).float().sum(0))


def test_it_refuses_what_it_cannot_use():
    for name in ("alpha", "beta"):
        with pytest.raises(OptionError, match=f"{name} must be finite, got inf"):
            dk.nn.Standout(identity(), **{name: float("inf")})
