"""Laws of dropkit.ops.fast_dropout and its module."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from dropkit.core import ModuleError, RateError
from dropkit.nn import FastDropout
from dropkit.ops import dropout, fast_dropout, fast_dropout_moments
from dropkit.random import stream
from tests.laws import FALSE_ALARM

Z = stats.norm.isf(FALSE_ALARM / 2)
N = 1_000_000


def problem(rng):
    x = torch.rand(8, generator=rng, dtype=torch.float64) + 0.5
    weight = torch.randn(3, 8, generator=rng, dtype=torch.float64)
    bias = torch.randn(3, generator=rng, dtype=torch.float64)
    return x, weight, bias


def assert_moments(samples, mean, variance):
    """Mean and variance of the rows of ``samples`` are those told, within their standard errors."""
    n = len(samples)
    centred = samples - mean
    square = centred**2
    assert ((samples.mean(0) - mean).abs() < Z * samples.std(0) / np.sqrt(n)).all()
    assert ((square.mean(0) - variance).abs() < Z * square.std(0) / np.sqrt(n)).all()


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_moments_are_those_of_a_million_dropped_inputs(rate, rng):
    x, weight, bias = problem(rng)
    mean, variance = fast_dropout_moments(x, rate, weight, bias)
    kept = dropout(x.expand(N, 8), rate, training=True, generator=rng)
    assert_moments(F.linear(kept, weight, bias), mean, variance)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_million_draws_have_these_moments_and_are_normal(rate, rng):
    x, weight, bias = problem(rng)
    mean, variance = fast_dropout_moments(x, rate, weight, bias)
    y = fast_dropout(x.expand(N, 8), rate, weight, bias, training=True, generator=rng)
    assert_moments(y, mean, variance)
    z = (y[:100_000] - mean) / variance.sqrt()
    for output in z.T:
        assert stats.kstest(output, "norm").pvalue > FALSE_ALARM
    assert stats.pearsonr(z[:, 0], z[:, 1]).pvalue > FALSE_ALARM


def test_moments_pass_through_a_second_layer(rng):
    x, weight, bias = problem(rng)
    noise = torch.randn(N, 8, generator=rng, dtype=torch.float64) * 0.3
    mean, variance = fast_dropout_moments(
        x, 0.3, weight, bias, variance=torch.full((8,), 0.09, dtype=torch.float64)
    )
    kept = dropout(x + noise, 0.3, training=True, generator=rng)
    assert_moments(F.linear(kept, weight, bias), mean, variance)


def test_the_gradient_is_finite_where_nothing_varies(seed):
    x = torch.zeros(4, 8, requires_grad=True)
    weight = torch.ones(3, 8, requires_grad=True)
    with stream(seed):
        fast_dropout(x, 0.5, weight, training=True).sum().backward()
    assert x.grad.isfinite().all()
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_in_the_variance(dtype, seed):
    x, weight = torch.full((50, 4), 300.0, dtype=dtype), torch.ones(2, 4, dtype=dtype)
    with stream(seed):
        y = fast_dropout(x, 0.5, weight, training=True)
    assert y.dtype is dtype
    assert y.isfinite().all()
    assert y.double().std() > 200


def test_outside_training_it_is_the_linear_layer(rng):
    x, weight, bias = problem(rng)
    expected = F.linear(x, weight, bias)
    assert torch.equal(fast_dropout(x, 0.5, weight, bias, training=False), expected)
    assert torch.equal(fast_dropout(x, 0.0, weight, bias, training=True), expected)


def test_the_module_uses_the_parameters_of_its_layer(seed):
    layer = nn.Linear(6, 4)
    module = FastDropout(0.5, layer, site="a")
    assert module.layer is layer
    x = torch.linspace(1, 2, 18).view(3, 6)
    with stream(seed):
        y = module(x)
    with stream(seed):
        assert torch.equal(y, fast_dropout(x, 0.5, layer.weight, layer.bias, training=True, site="a"))
    mean, variance = module.moments(x, torch.ones(3, 6))
    expected = fast_dropout_moments(x, 0.5, layer.weight, layer.bias, variance=torch.ones(3, 6))
    assert torch.equal(mean, layer(x))
    assert torch.equal(variance, expected[1])
    with pytest.raises(ModuleError, match=r"FastDropout needs an nn\.Linear, got Conv1d"):
        FastDropout(0.5, nn.Conv1d(1, 1, 1))


@pytest.mark.parametrize("training", [True, False])
def test_rate_one_has_infinite_variance_and_is_refused(training):
    with pytest.raises(RateError, match=r"needs a rate in \[0, 1\), got 1.0"):
        fast_dropout(torch.ones(2), 1.0, torch.ones(1, 2), training=training)
