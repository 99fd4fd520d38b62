"""Laws of dropkit.nn.ConcreteDropout and its forms for maps."""

import math

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import OptionError
from dropkit.nn.learned.penalised import PenaltyError


def entropy_term(rate):
    return rate * math.log(rate) + (1 - rate) * math.log(1 - rate)


def test_the_penalty_is_that_of_the_paper():
    layer = nn.Linear(6, 2)
    module = dk.nn.ConcreteDropout(0.2, layer, weight_penalty=0.3, rate_penalty=0.7)
    module(torch.ones(5, 6))
    weights = layer.weight.square().sum().item()
    assert module.penalty().item() == pytest.approx(
        0.3 * weights / (1 - 0.2) + 0.7 * 6 * entropy_term(0.2), rel=1e-5
    )
    module.penalty().backward()
    assert layer.bias.grad is None
    torch.testing.assert_close(layer.weight.grad, 2 * 0.3 * layer.weight.detach() / 0.8)
    slope = 0.3 * weights / 0.8**2 + 0.7 * 6 * math.log(0.2 / 0.8)  # of the rate; times that of the sigmoid
    assert module.logit.grad.item() == pytest.approx(slope * 0.2 * 0.8, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "shape", "units"),
    [
        (dk.nn.ConcreteDropout, (5, 6, 3), 18),
        (dk.nn.ConcreteDropout1d, (5, 6, 3), 6),
        (dk.nn.ConcreteDropout2d, (5, 6, 3, 2), 6),
        (dk.nn.ConcreteDropout3d, (5, 6, 3, 2, 2), 6),
    ],
)
def test_the_units_that_count_are_those_with_a_coin(kind, shape, units):
    module = kind(0.3, rate_penalty=2.0)
    module(torch.ones(shape))
    assert module.penalty().item() == pytest.approx(2.0 * units * entropy_term(0.3), rel=1e-5)


def test_a_penalty_needs_a_forward_pass_in_training_mode():
    module = dk.nn.ConcreteDropout(0.3)
    module.eval()(torch.ones(2, 3))
    with torch.no_grad():
        module.train()(torch.ones(2, 3))
    with pytest.raises(
        PenaltyError, match=r"ConcreteDropout\.penalty\(\) depends on the input; call the module"
    ):
        module.penalty()


def test_the_layer_ends_the_forward_pass(seed):
    layer = nn.Linear(6, 2)
    module, x = dk.nn.ConcreteDropout(0.2, layer, temperature=0.5), torch.randn(5, 6)
    with dk.random.stream(seed):
        got = module(x)
    with dk.random.stream(seed):
        expected = layer(dk.ops.concrete_dropout(x, 0.2, training=True, temperature=0.5))
    torch.testing.assert_close(got, expected)
    assert not torch.equal(got, layer(x))
    assert torch.equal(module.eval()(x), layer(x))


@pytest.mark.parametrize("name", ["weight_penalty", "rate_penalty"])
def test_negative_weights_are_refused(name):
    with pytest.raises(OptionError, match=f"{name} must be at least 0, got -1"):
        dk.nn.ConcreteDropout(0.1, **{name: -1.0})
    with pytest.raises(OptionError, match="temperature must be positive"):
        dk.nn.ConcreteDropout(0.1, temperature=0.0)


def learned_rate(noise, seed):
    """Return the rate learned on inputs whose targets have this much noise, which the model learns as well."""
    torch.manual_seed(seed)
    x = torch.randn(256, 4)
    y = x @ torch.tensor([1.0, -1.0, 0.5, 2.0]) + noise * torch.randn(256)
    layer = nn.Linear(4, 1)
    model = dk.nn.ConcreteDropout(0.2, layer, weight_penalty=1e-4, rate_penalty=0.1)
    log_variance = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.Adam([*model.parameters(), log_variance], lr=0.05)
    with dk.random.stream(seed):
        for _ in range(400):
            optimizer.zero_grad()
            error = (model(x).squeeze(1) - y).square()
            loss = 0.5 * (error * (-log_variance).exp() + log_variance).mean() + dk.objectives.penalty(model)
            loss.backward()
            optimizer.step()
            dk.step()
    return model.rate.item()


def test_it_finds_the_higher_rate_where_noise_is_higher(seed):
    with torch.random.fork_rng():
        low, high = learned_rate(0.1, seed), learned_rate(3.0, seed)
    assert low < 0.02
    assert high > 0.15
