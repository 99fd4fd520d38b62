"""Laws of dropkit.ops.alpha_dropout."""

import numpy as np
import pytest
import torch
from scipy import stats

from dropkit.ops import alpha_dropout
from dropkit.random import mask, stream
from tests.laws import FALSE_ALARM, assert_frequency

VALUE = -1.7580993408473766


def coefficients(rate):
    a = ((1 - rate) * (1 + rate * VALUE**2)) ** -0.5
    return a, -a * rate * VALUE


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_each_element_is_saturated_or_kept_then_shifted(rate, seed):
    x = torch.linspace(-1, 3, 64 * 100, dtype=torch.float64).view(64, 100)
    with stream(seed):
        y = alpha_dropout(x, rate, training=True, site="a")
    kept = torch.from_numpy(mask((64, 100), rate, seed=seed, site="a"))
    a, b = coefficients(rate)
    assert torch.equal(y, torch.where(kept, a * x + b, a * VALUE + b))
    assert 0 < kept.sum() < kept.numel()


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_mean_zero_and_variance_one_are_kept(rate, rng):
    n = 400_000
    y = alpha_dropout(
        torch.randn(n, generator=rng, dtype=torch.float64), rate, training=True, generator=rng
    ).numpy()
    z = stats.norm.isf(FALSE_ALARM / 2)
    assert abs(y.mean()) < z * y.std() / np.sqrt(n)
    assert abs((y**2).mean() - 1) < z * (y**2).std() / np.sqrt(n)


def test_the_gradient_reaches_kept_elements_only(seed):
    x = torch.randn(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    with stream(seed):
        alpha_dropout(x, 0.3, training=True, site="a").sum().backward()
    kept = torch.from_numpy(mask(1000, 0.3, seed=seed, site="a"))
    assert torch.equal(x.grad, kept.double() * coefficients(0.3)[0])


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_frequency_on_infinite_input(rate, rng):
    y = alpha_dropout(torch.full((100_000,), float("inf")), rate, training=True, generator=rng)
    assert_frequency(y.isfinite(), rate)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_rounded_once(dtype, seed):
    x = torch.linspace(-1, 3, 5000).to(dtype)
    with stream(seed):
        y = alpha_dropout(x, 0.3, training=True, site="a")
    with stream(seed):
        wide = alpha_dropout(x.float(), 0.3, training=True, site="a")
    assert torch.equal(y, wide.to(dtype))


def test_rate_one_is_zero_with_zero_gradient():
    x = torch.tensor([1.0, float("inf")], requires_grad=True)
    y = alpha_dropout(x, 1.0, training=True)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(2))
    assert torch.equal(x.grad, torch.zeros(2))
