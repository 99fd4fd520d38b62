"""Laws of dropkit.nn.VariationalDropout and VariationalWeights."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

import dropkit as dk
from dropkit.core import ModuleError, ShapeError
from dropkit.ops.learned.divergence import gaussian_noise
from tests.laws import FALSE_ALARM


def test_the_penalty_counts_the_units_of_a_sample():
    alpha = torch.tensor(0.2 / 0.8)
    module = dk.nn.VariationalDropout(0.2)
    module(torch.ones(7, 5, 3))
    assert module.penalty().item() == pytest.approx(15 * gaussian_noise(alpha).item(), rel=1e-5)
    module = dk.nn.VariationalDropout(0.2, features=5)
    module(torch.ones(7, 5, 3))
    assert module.penalty().item() == pytest.approx(15 * gaussian_noise(alpha).item(), rel=1e-5)
    module = dk.nn.VariationalWeights(nn.Linear(4, 3), 0.2)
    assert module.penalty().item() == pytest.approx(12 * gaussian_noise(alpha).item(), rel=1e-5)


def test_penalties_draw_the_rate_up():
    module = dk.nn.VariationalWeights(nn.Linear(4, 3), 0.2)
    module.penalty().backward()
    assert module.logit.grad < 0


def test_each_unit_has_the_noise_of_its_rate(seed):
    module = dk.nn.VariationalDropout(0.2, features=3)
    module.rate = torch.tensor([0.01, 0.2, 0.45])
    with dk.random.stream(seed):
        y = module(torch.ones(50_000, 3))
    for unit, rate in enumerate((0.01, 0.2, 0.45)):
        noise = (y[:, unit].detach().double() - 1) / math.sqrt(rate / (1 - rate))
        assert stats.kstest(noise, "norm").pvalue > FALSE_ALARM


def test_gradients_reach_the_logit(seed):
    module = dk.nn.VariationalDropout(0.2)
    with dk.random.stream(seed):
        module(torch.ones(100, 3)).square().sum().backward()
    assert module.logit.grad != 0


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 3), (4000, 6)),
        (nn.Conv1d(4, 2, 3, padding=1, groups=2, padding_mode="reflect"), (400, 4, 5)),
        (nn.Conv2d(2, 3, 3, stride=2, bias=False), (400, 2, 5, 5)),
        (nn.Conv3d(1, 2, 2), (400, 1, 3, 3, 3)),
    ],
)
def test_outputs_are_normal_around_those_of_the_layer(layer, shape, seed, rng):
    x = torch.randn(shape, generator=rng)
    module = dk.nn.VariationalWeights(layer, 0.4)
    with dk.random.stream(seed), torch.no_grad():
        y, mean = module(x), layer(x)
        noisy = type(layer).__new__(type(layer))
        noisy.__dict__.update(layer.__dict__, _parameters=dict(layer._parameters))
        noisy.weight, noisy.bias = nn.Parameter(0.4 / 0.6 * layer.weight.square()), None
        deviation = noisy(x.square()).sqrt()
    assert torch.equal(module.eval()(x), layer(x))
    assert stats.kstest(((y - mean) / deviation).double().flatten(), "norm").pvalue > FALSE_ALARM


def test_zero_input_has_no_noise_and_a_finite_gradient(seed):
    layer = nn.Linear(3, 2)
    module, x = dk.nn.VariationalWeights(layer, 0.4), torch.zeros(4, 3, requires_grad=True)
    with dk.random.stream(seed):
        y = module(x)
    y.sum().backward()
    torch.testing.assert_close(y, layer.bias.expand(4, 2))
    assert x.grad.isfinite().all()
    assert module.logit.grad == 0


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(
        ModuleError, match=r"VariationalWeights needs an nn\.Linear or nn\.Conv1d/2d/3d, got LSTM"
    ):
        dk.nn.VariationalWeights(nn.LSTM(3, 3))
    with pytest.raises(ShapeError, match=r"has 3 units along axis 1, got an input of shape \(2, 4\)"):
        dk.nn.VariationalDropout(0.2, features=3)(torch.ones(2, 4))
