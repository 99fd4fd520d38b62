"""Laws of dropkit.ops.gaussian_dropout."""

import math

import pytest
import torch
from scipy import stats

from dropkit.core import RateError
from dropkit.ops import gaussian_dropout
from dropkit.random import stream
from tests.laws import FALSE_ALARM


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_factor_is_normal_with_mean_one_and_the_variance_of_dropout(rate, rng):
    y = gaussian_dropout(torch.full((200_000,), 3.0), rate, training=True, generator=rng)
    deviation = math.sqrt(rate / (1 - rate))
    assert stats.kstest((y.double() / 3 - 1) / deviation, "norm").pvalue > FALSE_ALARM


def test_the_gradient_is_the_factor(seed):
    x = torch.linspace(0.5, 2, 1000, dtype=torch.float64, requires_grad=True)
    with stream(seed):
        y = gaussian_dropout(x, 0.5, training=True)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y / x).detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_dtype_gets_the_same_noise(dtype, seed):
    x = torch.linspace(0.5, 2, 1000, dtype=torch.float64)
    with stream(seed):
        wide = gaussian_dropout(x, 0.5, training=True, site="a")
    with stream(seed):
        y = gaussian_dropout(x.to(dtype), 0.5, training=True, site="a")
    assert y.dtype is dtype
    torch.testing.assert_close(
        y.double(), wide, rtol=4 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps
    )


@pytest.mark.parametrize("training", [True, False])
def test_rate_one_has_infinite_variance_and_is_refused(training):
    with pytest.raises(RateError, match=r"needs a rate in \[0, 1\), got 1.0"):
        gaussian_dropout(torch.ones(2), 1.0, training=training)
