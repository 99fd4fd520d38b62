"""Laws of dropkit.nn.ContextualDropout."""

import math

import pytest
import torch
from scipy import stats
from torch.distributions import Bernoulli, Normal, kl_divergence

import dropkit as dk
from dropkit.core import OptionError, RateError, ShapeError
from dropkit.nn.learned.penalised import PenaltyError
from tests.laws import FALSE_ALARM


def trained(**options):
    """Return a module whose first unit says the rate of every unit of its sample."""
    module = dk.nn.ContextualDropout(3, 0.2, reduction=3, **options)
    with torch.no_grad():
        module.inner.weight.copy_(torch.tensor([[1.0, 0.0, 0.0]]))
        module.inner.bias.zero_()
        module.outer.weight.fill_(1.0)
        module.outer.bias.zero_()
    return module


def test_it_starts_as_concrete_dropout(seed):
    x = torch.randn(50, 6)
    with dk.random.stream(seed):
        got = dk.nn.ContextualDropout(6, 0.3, site="a")(x)
    with dk.random.stream(seed):
        expected = dk.ops.concrete_dropout(x, 0.3, training=True, site="a")
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(got, x)


def test_rates_follow_the_sample_through_both_layers():
    x = torch.tensor([[2.0, 5.0, 7.0], [-2.0, 5.0, 7.0]])
    logit = torch.tensor([[2.0], [-0.2]])  # leaky below zero
    torch.testing.assert_close(trained().rates(x), torch.sigmoid(logit).expand(2, 3))
    maps = x.view(2, 3, 1, 1) + torch.tensor([-1.0, 1.0]).view(1, 1, 2, 1)
    torch.testing.assert_close(trained().rates(maps), torch.sigmoid(logit).expand(2, 3))
    torch.testing.assert_close(trained(axis=-1).rates(maps.permute(0, 2, 3, 1)), trained().rates(maps))


def test_a_coin_covers_a_unit_of_a_sample(seed):
    with dk.random.stream(seed):
        y = dk.nn.ContextualDropout(4, 0.5)(torch.ones(20, 4, 3, 2)).flatten(2)
    assert torch.equal(y, y[..., :1].expand_as(y))
    assert not torch.equal(y[:, 0], y[:, 1])


def test_gaussian_noise_has_the_variance_of_the_rate(seed):
    module = trained(noise="gaussian")
    x = torch.tensor([1.5, 1.0, -2.0]).expand(60_000, 3)
    with dk.random.stream(seed):
        noise = (module(x) / x - 1).detach().double() / math.sqrt(
            math.exp(1.5)
        )  # rate / (1 - rate) = e^logit
    for unit in range(3):
        assert stats.kstest(noise[:, unit], "norm").pvalue > FALSE_ALARM


def test_the_penalty_is_the_divergence_from_the_prior():
    x = torch.tensor([[1.0, 0.0, 0.0], [-3.0, 0.0, 0.0]])
    rates, prior = torch.sigmoid(torch.tensor([1.0, -0.3])), torch.tensor(0.2)
    coins = trained()
    coins(x)
    expected = 3 * kl_divergence(Bernoulli(rates), Bernoulli(prior)).sum() / 2
    torch.testing.assert_close(coins.penalty(), expected)
    gaussian = trained(noise="gaussian")
    gaussian(x)
    spread, prior_spread = (rates / (1 - rates)).sqrt(), (prior / (1 - prior)).sqrt()
    expected = 3 * kl_divergence(Normal(1.0, spread), Normal(1.0, prior_spread)).sum() / 2
    torch.testing.assert_close(gaussian.penalty(), expected)
    coins.penalty().backward()
    assert coins.prior_logit.grad != 0
    with pytest.raises(PenaltyError, match="call the module in training mode first"):
        dk.nn.ContextualDropout(3).penalty()


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
def test_the_small_network_learns_and_sends_no_gradient_to_the_features(noise, seed):
    module, x = trained(noise=noise), torch.randn(40, 3, requires_grad=True)
    with dk.random.stream(seed):
        y = module(x)
    y.square().sum().backward()
    assert module.inner.weight.grad.abs().sum() > 0
    torch.testing.assert_close(x.grad, (2 * y * y / x).detach(), rtol=1e-3, atol=1e-4)
    for shape in ((40, 3), (40, 3, 1)):
        total = module.rates(x.view(shape)).sum()
        assert torch.autograd.grad(total, x, allow_unused=True) == (None,)


def test_it_refuses_what_it_cannot_use():
    for rate in (0.0, 1.0):
        with pytest.raises(RateError, match=r"needs a start inside \(0, 1\), got"):
            dk.nn.ContextualDropout(3, rate)
    with pytest.raises(OptionError, match="noise must be 'bernoulli' or 'gaussian', got 'uniform'"):
        dk.nn.ContextualDropout(3, noise="uniform")
    with pytest.raises(OptionError, match="reduction must be at least 1, got 0"):
        dk.nn.ContextualDropout(3, reduction=0)
    with pytest.raises(ShapeError, match=r"has 3 units along axis 1, got an input of shape \(2, 4\)"):
        dk.nn.ContextualDropout(3)(torch.ones(2, 4))
