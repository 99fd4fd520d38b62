"""Models whose modules have a forward, hooks or attributes that a class does not give them."""

import copy
import threading
import types
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import dropkit as dk
from dropkit.core import PlanError


def model():
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.3))
    )


def predicted(network, x, seed, mode="auto"):
    return dk.predict(network, x, members=12, seed=seed, keep_members=True, mode=mode).members


PATCHES = {
    "closure": lambda module, forward: lambda x: forward(x),
    "method": lambda module, forward: types.MethodType(lambda self, x: type(self).forward(self, x), module),
    "autocast": lambda module, forward: torch.autocast("cpu", enabled=False)(forward),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("where", ["", "1", "2", "3", "3.1"])
@pytest.mark.parametrize("patch", PATCHES)
def test_a_forward_set_on_an_instance_is_sampled(patch, where, training, rng, seed):
    network, x = model().train(training), torch.randn(9, 6, generator=rng)
    expected = predicted(network, x, seed)
    module = network.get_submodule(where)
    module.forward = PATCHES[patch](module, module.forward)
    before, held = copy.deepcopy(network.state_dict()), module.forward
    assert torch.allclose(predicted(network, x, seed), expected, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(m.training == training for m in network.modules())
    assert module.forward is held


def weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(layer)


@pytest.mark.parametrize(
    "change",
    [
        weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        lambda layer: prune.random_unstructured(layer, "weight", 0.3),
    ],
    ids=["weight_norm", "spectral_norm", "parametrized_spectral_norm", "parametrized_weight_norm", "prune"],
)
def test_weights_that_are_computed(change, rng, seed):
    network, x = model(), torch.randn(9, 6, generator=rng)
    change(network[0])
    network(x)  # power iterations, and a graph
    network.eval()
    before = copy.deepcopy(network.state_dict())
    loop = predicted(network, x, seed, "loop")
    assert torch.allclose(predicted(network, x, seed, "vmap"), loop, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network(x).sum().backward()


def test_a_model_that_holds_a_lock(rng, seed):
    network, x = model(), torch.randn(9, 6, generator=rng)
    expected = predicted(network, x, seed)
    network.lock = threading.Lock()
    assert torch.allclose(predicted(network, x, seed), expected, rtol=1e-4, atol=1e-5)


def test_code_that_goes_on_calling_the_original_is_refused_by_name(rng, seed):
    network, x = model(), torch.randn(9, 6, generator=rng)
    dropping = network[2]
    network[1].held = types.SimpleNamespace(run=lambda x: dropping(x))
    network[1].register_forward_hook(lambda module, args, output: module.held.run(output))
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(PlanError, match="module '2' is called by code"):
        predicted(network, x, seed)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
