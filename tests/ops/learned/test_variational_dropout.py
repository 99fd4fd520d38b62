"""Laws of dropkit.ops.variational_dropout."""

import math

import pytest
import torch
from scipy import stats

from dropkit.core import RateError
from dropkit.ops import gaussian_dropout, variational_dropout
from dropkit.random import stream
from tests.laws import FALSE_ALARM


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_factor_is_normal_with_mean_one_and_variance_alpha(rate, rng):
    y = variational_dropout(torch.full((200_000,), 3.0), rate, training=True, generator=rng)
    assert stats.kstest((y.double() / 3 - 1) / math.sqrt(rate / (1 - rate)), "norm").pvalue > FALSE_ALARM


def test_it_is_gaussian_dropout_at_the_same_rate(seed):
    x = torch.linspace(-2, 2, 1000, dtype=torch.float64)
    with stream(seed):
        got = variational_dropout(x, torch.full((1000,), 0.3, dtype=torch.float64), training=True, site="a")
    with stream(seed):
        torch.testing.assert_close(got, gaussian_dropout(x, 0.3, training=True, site="a"))


@pytest.mark.parametrize("shape", [(), (50,)])
def test_gradients_reach_the_rate(shape, seed):
    x = torch.linspace(0.5, 2, 50, dtype=torch.float64)
    rate = torch.full(shape, 0.3, dtype=torch.float64, requires_grad=True)

    def output(rate):
        with stream(seed):
            return variational_dropout(x, rate, training=True)

    assert torch.autograd.gradcheck(output, rate)
    output(rate).square().sum().backward()
    assert rate.grad.abs().max() > 1e-3


@pytest.mark.parametrize("training", [True, False])
def test_rate_one_has_infinite_variance_and_is_refused(training):
    with pytest.raises(RateError, match=r"needs a rate in \[0, 1\), got 1.0"):
        variational_dropout(torch.ones(2), 1.0, training=training)
