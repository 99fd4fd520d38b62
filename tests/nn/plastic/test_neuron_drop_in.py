"""Laws of dropkit.nn.NeuronDropIn."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import ModuleError, OptionError, ShapeError
from tests.laws import assert_frequency


def grown(rate=0.0, **options):
    module = dk.nn.NeuronDropIn(nn.Linear(5, 4), nn.Linear(4, 3), 6, rate=rate, **options)
    nn.init.normal_(module.new_outer.weight)
    return module


def test_the_network_computes_what_it_did(rng):
    inner, outer = nn.Linear(5, 4), nn.Linear(4, 3)
    x = torch.randn(7, 5, generator=rng)
    module = dk.nn.NeuronDropIn(inner, outer, 6, activation=nn.Tanh(), rate=0.5)
    expected = outer(inner(x).tanh())
    assert torch.equal(module(x), expected)
    assert torch.equal(module.eval()(x), expected)


def test_only_new_neurons_are_trained():
    module = dk.nn.NeuronDropIn(nn.Linear(5, 4), nn.Linear(4, 3), 6)
    module(torch.randn(7, 5)).square().sum().backward()
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert trained == {"new_inner.weight", "new_inner.bias", "new_outer.weight"}
    assert module.new_outer.weight.grad.abs().sum() > 0
    assert all(p.requires_grad for p in grown(freeze=False).parameters())


def test_new_neurons_are_dropped_at_the_rate_or_scaled(seed):
    module = dk.nn.NeuronDropIn(nn.Linear(5, 4), nn.Linear(4, 6), 6, activation=nn.Identity(), rate=0.3)
    with torch.no_grad():
        module.new_outer.weight.copy_(torch.eye(6))
    x = torch.randn(5).expand(20_000, 5)
    with dk.random.stream(seed), torch.no_grad():
        added = module(x) - module.outer(module.inner(x))
    gone = added.abs() < 1e-5
    assert_frequency(gone, 0.3)
    expected = (module.new_inner(x) / 0.7).detach()
    torch.testing.assert_close(added[~gone], expected[~gone], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
def test_the_merged_layers_compute_what_eval_mode_does(bias, rng):
    module = dk.nn.NeuronDropIn(nn.Linear(5, 4, bias=bias), nn.Linear(4, 3, bias=bias), 6, rate=0.5).eval()
    nn.init.normal_(module.new_outer.weight)
    inner, outer = module.merged()
    x = torch.randn(7, 5, generator=rng)
    torch.testing.assert_close(outer(inner(x).relu()), module(x))
    assert inner.out_features == 10


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(ModuleError, match=r"NeuronDropIn needs two nn\.Linear, got Conv2d"):
        dk.nn.NeuronDropIn(nn.Conv2d(1, 1, 1), nn.Linear(1, 1), 1)
    with pytest.raises(ShapeError, match="the outer layer reads 5 units, but the inner one has 4"):
        dk.nn.NeuronDropIn(nn.Linear(5, 4), nn.Linear(5, 4), 1)
    with pytest.raises(OptionError, match="new must be at least 1, got 0"):
        dk.nn.NeuronDropIn(nn.Linear(5, 4), nn.Linear(4, 3), 0)
