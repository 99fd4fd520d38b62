"""Laws of dropkit.ops.uniform_dropout."""

import math

import pytest
import torch
from scipy import stats

from dropkit.core import RateError, ShapeError
from dropkit.ops import uniform_dropout
from dropkit.random import stream
from tests.laws import FALSE_ALARM


@pytest.mark.parametrize("rate", [0.01, 0.25, 0.7])
def test_the_factor_is_uniform_with_mean_one_and_the_variance_of_dropout(rate, rng):
    x = torch.full((200_000,), -3.0, dtype=torch.float64)
    y = uniform_dropout(x, rate, training=True, generator=rng)
    noise = y / x - 1
    half_width = math.sqrt(3 * rate / (1 - rate))
    assert float(noise.abs().max()) <= half_width
    assert stats.kstest(noise / half_width, stats.uniform(-1, 2).cdf).pvalue > FALSE_ALARM


def test_no_sign_changes_up_to_a_quarter(rng):
    y = uniform_dropout(torch.ones(100_000), 0.25, training=True, generator=rng)
    assert float(y.min()) >= 0
    assert float(uniform_dropout(torch.ones(100_000), 0.3, training=True, generator=rng).min()) < 0


def test_the_gradient_is_the_factor(seed):
    x = torch.linspace(0.5, 2, 1000, dtype=torch.float64, requires_grad=True)
    with stream(seed):
        y = uniform_dropout(x, 0.5, training=True)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y / x).detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_dtype_gets_the_same_noise(dtype, seed):
    x = torch.linspace(0.5, 2, 1000).to(dtype)
    with stream(seed):
        wide = uniform_dropout(x.double(), 0.5, training=True, site="a")
    with stream(seed):
        y = uniform_dropout(x, 0.5, training=True, site="a")
    assert y.dtype is dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(y.double(), wide, rtol=4 * eps, atol=4 * eps)


def test_rates_by_unit(seed):
    x = torch.ones(500, 2, dtype=torch.float64)
    with stream(seed):
        y = uniform_dropout(x, torch.tensor([0.0, 0.5]), training=True, site="a")
    with stream(seed):
        expected = uniform_dropout(x, 0.5, training=True, site="a")
    assert torch.equal(y, torch.stack((x[:, 0], expected[:, 1]), 1))
    with pytest.raises(ShapeError, match=r"broadcast to the mask's shape \(500, 2\), got shape \(3,\)"):
        uniform_dropout(x, torch.zeros(3), training=True)


@pytest.mark.parametrize("training", [True, False])
def test_rate_one_has_infinite_variance_and_is_refused(training):
    with pytest.raises(RateError, match=r"needs a rate in \[0, 1\), got 1.0"):
        uniform_dropout(torch.ones(2), 1.0, training=training)
