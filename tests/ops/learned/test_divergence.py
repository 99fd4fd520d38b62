"""Laws of dropkit.ops.learned.divergence, against numeric integration and torch's own divergences."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import integrate
from torch.distributions import Bernoulli, Normal, kl_divergence

from dropkit.ops.learned import divergence

SPREAD = [math.exp(v) for v in (-6.0, -4.0, -2.0, -1.0, -0.5, 0.0)]


def mean_log(alpha):
    """Return E log|1 + sqrt(alpha) z| of a standard normal z; the integrand has a pole where the noise is zero."""
    pole = -1.0 / math.sqrt(alpha)

    def density(z):
        return (
            math.log(abs(1.0 + math.sqrt(alpha) * z) or 1e-300)
            * math.exp(-z * z / 2)
            / math.sqrt(2 * math.pi)
        )

    ends = [-12.0, *([pole] if pole > -12.0 else []), 12.0]
    return sum(integrate.quad(density, a, b, limit=400)[0] for a, b in pairwise(ends))


def exact(alpha):
    """Return the divergence from the log-uniform prior, with the constant that takes it to 0 as alpha grows."""
    return mean_log(alpha) - 0.5 * math.log(alpha) + 0.5 * (0.5772156649015329 + math.log(2.0))


@pytest.mark.parametrize("alpha", SPREAD)
def test_the_fit_for_small_noise_is_the_divergence_up_to_a_constant(alpha):
    got = divergence.gaussian_noise(torch.tensor(alpha, dtype=torch.float64)).item()
    constant = exact(alpha) - got
    assert abs(constant - (exact(0.02) - divergence.gaussian_noise(torch.tensor(0.02)).item())) < 0.05
    assert got == pytest.approx(
        -(0.5 * math.log(alpha) + 1.16145124 * alpha - 1.50204118 * alpha**2 + 0.58629921 * alpha**3)
    )


@pytest.mark.parametrize("alpha", [*SPREAD, math.e, math.exp(3.0), math.exp(6.0)])
def test_the_fit_for_all_noise_is_the_divergence(alpha):
    got = divergence.sparse_noise(torch.tensor(math.log(alpha), dtype=torch.float64)).item()
    assert got == pytest.approx(exact(alpha), abs=0.01)
    assert got > 0.0


def test_less_noise_costs_more():
    steps = torch.linspace(-8.0, 8.0, 100)
    assert (divergence.sparse_noise(steps).diff() < 0).all()
    assert (divergence.gaussian_noise(steps[:50].exp()).diff() < 0).all()


def test_divergences_of_normal_and_coin_are_those_of_torch():
    mean, deviation = torch.tensor([0.3, -2.0]), torch.tensor([0.5, 1.5])
    prior, log_prior = torch.tensor(0.7), torch.tensor(-0.4)
    torch.testing.assert_close(
        divergence.normal(mean, deviation, prior, log_prior),
        kl_divergence(Normal(mean, deviation), Normal(prior, log_prior.exp())),
    )
    rate = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(
        divergence.bernoulli(rate, torch.tensor(0.3)),
        kl_divergence(Bernoulli(rate), Bernoulli(torch.tensor(0.3))),
    )


def test_the_negative_entropy_is_finite_at_the_ends():
    rate = torch.tensor([0.0, 0.25, 0.5, 1.0])
    got = divergence.negative_entropy(rate)
    expected = torch.tensor([0.0, 0.25 * math.log(0.25) + 0.75 * math.log(0.75), -math.log(2.0), 0.0])
    torch.testing.assert_close(got, expected)
