"""Laws of dropkit.ops.shakeout and its module."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from dropkit.core import ModuleError, OptionError
from dropkit.nn import Shakeout
from dropkit.ops import dropout, shakeout
from dropkit.random import mask, stream
from tests.laws import FALSE_ALARM


def problem(rng, rows):
    x = torch.randn(rows, 6, generator=rng, dtype=torch.float64)
    weight = torch.randn(3, 6, generator=rng, dtype=torch.float64)
    weight[0, 0] = weight[2, 4] = 0.0
    return x, weight, torch.randn(3, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_each_input_meets_reversed_or_enhanced_weights(rate, seed, rng):
    x, weight, bias = problem(rng, 50)
    with stream(seed):
        y = shakeout(x, rate, weight, bias, strength=0.4, training=True, site="a")
    kept = torch.from_numpy(mask((50, 6), rate, seed=seed, site="a"))
    assert 0 < kept.sum() < kept.numel()
    enhanced = (weight + 0.4 * rate * weight.sign()) / (1 - rate)
    met = torch.where(kept.unsqueeze(1), enhanced, -0.4 * weight.sign())  # (row, output, input)
    torch.testing.assert_close(y, (met * x.unsqueeze(1)).sum(2) + bias, rtol=1e-12, atol=1e-12)


def test_the_variance_adds_an_l2_an_l1_and_an_l0_penalty(rng):
    x, weight, bias = problem(rng, 1)
    n, rate, c = 400_000, 0.3, 0.5
    y = shakeout(x.expand(n, 6), rate, weight, bias, strength=c, training=True, generator=rng)
    penalty = weight**2 + 2 * c * weight.abs() + c**2 * (weight != 0)
    expected = rate / (1 - rate) * (x**2 * penalty).sum(1)
    mean = F.linear(x[0], weight, bias)
    square = (y - mean) ** 2
    z = stats.norm.isf(FALSE_ALARM / 2)
    assert ((y.mean(0) - mean).abs() < z * y.std(0) / np.sqrt(n)).all()
    assert ((square.mean(0) - expected).abs() < z * square.std(0) / np.sqrt(n)).all()


def test_with_no_strength_it_is_dropout(seed, rng):
    x, weight, bias = problem(rng, 20)
    with stream(seed):
        y = shakeout(x, 0.5, weight, bias, strength=0.0, training=True, site="a")
    with stream(seed):
        assert torch.equal(y, F.linear(dropout(x, 0.5, training=True, site="a"), weight, bias))


def test_no_gradient_passes_the_sign(seed, rng):
    x, weight, _ = problem(rng, 20)
    weight.requires_grad_()
    with stream(seed):
        shakeout(x, 0.5, weight, strength=0.5, training=True, site="a").sum().backward()
    with stream(seed):
        kept = dropout(x, 0.5, training=True, site="a")
    torch.testing.assert_close(weight.grad, kept.sum(0).expand(3, 6))


def test_outside_training_it_is_the_linear_layer(rng):
    x, weight, bias = problem(rng, 5)
    assert torch.equal(shakeout(x, 0.5, weight, bias, training=False), F.linear(x, weight, bias))


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
def test_a_strength_that_is_none_is_refused(strength):
    with pytest.raises(OptionError, match="strength must be a finite number of at least 0, got"):
        shakeout(torch.ones(2), 0.5, torch.ones(1, 2), strength=strength, training=True)
    with pytest.raises(OptionError, match="strength must be a finite number of at least 0, got"):
        Shakeout(0.5, nn.Linear(2, 1), strength)


def test_the_module_uses_the_parameters_of_its_layer(seed):
    layer = nn.Linear(6, 4)
    module = Shakeout(0.5, layer, 0.3, site="a")
    assert "strength=0.3" in repr(module)
    x = torch.linspace(1, 2, 18).view(3, 6)
    with stream(seed):
        y = module(x)
    with stream(seed):
        expected = shakeout(x, 0.5, layer.weight, layer.bias, strength=0.3, training=True, site="a")
    assert torch.equal(y, expected)
    assert torch.equal(module.eval()(x), layer(x))
    with pytest.raises(ModuleError, match=r"Shakeout needs an nn\.Linear, got ReLU"):
        Shakeout(0.5, nn.ReLU())
