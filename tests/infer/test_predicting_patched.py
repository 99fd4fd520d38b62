"""Models whose modules have a forward, hooks or attributes that a class does not give them."""

import copy
import threading
import types
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

import dropkit as dk
from dropkit.core import ConfigError, PlanError
from tests.surgery.test_copying import weight_norm


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


@pytest.mark.parametrize("inside", [False, True])
def test_torchscript_is_refused_by_name(inside, rng, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(model())
    network = nn.Sequential(scripted, nn.Dropout(0.5)) if inside else scripted
    with pytest.raises(PlanError, match=f"module '{0 if inside else '.model.'}' is TorchScript"):
        predicted(network, torch.randn(9, 6, generator=rng), seed)


@pytest.mark.parametrize("mode", ["vmap", "loop"])
def test_a_model_that_was_made_in_inference_mode(mode, rng, seed):
    with torch.inference_mode():
        network, x = model(), torch.randn(9, 6, generator=rng)
        inside = predicted(network, x, seed, mode)
    torch.testing.assert_close(predicted(network, x, seed, mode), inside)


class Particular(nn.Module):
    """Takes batches of some lengths only."""

    def __init__(self, error, lengths):
        super().__init__()
        self.net, self.error, self.lengths = model(), error, lengths

    def forward(self, x):
        if len(x) not in self.lengths:
            raise self.error("not such a batch")
        return self.net(x)


@pytest.mark.parametrize("error", [AssertionError, IndexError, KeyError, RuntimeError, NotImplementedError])
def test_errors_of_larger_batches_only_mean_that_members_run_otherwise(error, rng, seed):
    network, x = Particular(error, {9}), torch.randn(9, 6, generator=rng)
    loop = predicted(network, x, seed, "loop")
    torch.testing.assert_close(predicted(network, x, seed), loop, rtol=1e-4, atol=1e-5)
    with pytest.raises(
        ConfigError, match=r"does not run in mode 'expand': .*not such a batch.*; use mode='auto'"
    ):
        predicted(network, x, seed, "expand")
    with pytest.raises(error, match="not such a batch"):
        predicted(network, x[:7], seed)


def test_a_batch_that_does_not_run_like_those_before_runs_in_a_loop(rng, seed):
    network, x = Particular(AssertionError, {*range(0, 10_000, 9), 4}), torch.randn(22, 6, generator=rng)
    got = predicted(network, DataLoader(TensorDataset(x), batch_size=9), seed)
    expected = torch.cat([predicted(network, part, seed, "loop") for part in x.split(9)], 1)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_do_not_look_like_samples_that_mix(bad, rng, seed):
    network, x = model(), torch.randn(9, 6, generator=rng)
    x[0, 0] = x[5, 0] = bad
    for mode in ("vmap", "expand"):
        loop = predicted(network, x, seed, "loop")
        torch.testing.assert_close(
            predicted(network, x, seed, mode), loop, rtol=1e-4, atol=1e-5, equal_nan=True
        )


class Average(nn.Module):
    """Keeps a moving average in a parameter."""

    def __init__(self, how):
        super().__init__()
        self.mean = nn.Parameter(torch.ones(8), requires_grad=False)
        self.how = how

    def forward(self, x):
        kept = self.mean.clone()
        with torch.no_grad():
            if self.how == "in place":
                self.mean.mul_(0.9)
            elif self.how == "data":
                self.mean.data = 0.9 * self.mean.data
            elif self.training:
                self.mean.copy_(0.9 * self.mean)
        return x * kept


@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
@pytest.mark.parametrize("how", ["in place", "data", "in training mode"])
def test_parameters_that_a_forward_writes_to_stay_as_they_are(how, mode, rng, seed):
    network = nn.Sequential(nn.Linear(6, 8), Average(how), nn.Dropout(0.5), nn.Linear(8, 3))
    x = torch.randn(9, 6, generator=rng)
    expected = predicted(network, x, seed, "loop")
    parameter, before = network[1].mean, network[1].mean.clone()
    got = predicted(network, x, seed, mode)
    assert network[1].mean is parameter
    assert torch.equal(parameter, before)
    torch.testing.assert_close(got, expected)
    first = predicted(nn.Sequential(network[0], nn.Identity(), *network[2:]), x, seed, "loop")
    torch.testing.assert_close(got, first)  # each begins with an average of 1


def test_an_embedding_that_is_renormed_stays_as_it_is(rng, seed):
    network = nn.Sequential(
        nn.Embedding(10, 8, max_norm=0.5), nn.Dropout(0.5), nn.Flatten(), nn.Linear(24, 2)
    )
    before = network[0].weight.detach().clone()
    predicted(network, torch.randint(0, 10, (5, 3), generator=rng), seed)
    assert torch.equal(network[0].weight, before)


class Taking(nn.Module):
    """Takes its input out of a container, or puts another one there."""

    def __init__(self, take):
        super().__init__()
        self.net, self.take = model(), take

    def forward(self, given):
        return self.net(self.take(given))


def doubled(given):
    given["x"] = 2 * given["x"]
    return given["x"]


@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
@pytest.mark.parametrize(
    ("make", "take"),
    [
        (lambda x: {"x": x, "y": 1}, lambda given: given.pop("x")),
        (lambda x: [1, x], lambda given: given.pop()),
        (lambda x: {"x": x}, doubled),
    ],
    ids=["dict", "list", "replaced"],
)
def test_lists_and_dicts_among_the_inputs_stay_as_they_are(make, take, mode, rng, seed):
    network, x = Taking(take), torch.randn(9, 6, generator=rng)
    given = make(x)
    before = copy.copy(given)
    got = predicted(network, given, seed, mode)
    values = (lambda held: list(held.values())) if isinstance(given, dict) else list
    assert [id(value) for value in values(given)] == [id(value) for value in values(before)]
    network.take = lambda held: held["x"]
    expected = predicted(network, {"x": 2 * x if take is doubled else x}, seed, "loop")
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
