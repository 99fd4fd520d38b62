"""Copies of models, whatever their modules hold."""

import threading
import types
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from dropkit.core import PlanError
from dropkit.surgery.copying import copied, only_the_copy


def model():
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)).eval()


def test_parameters_are_shared_and_modules_and_buffers_are_not(rng):
    original = model()
    made = copied(original)
    assert [id(p) for p in made.parameters()] == [id(p) for p in original.parameters()]
    assert not {id(m) for m in made.modules()} & {id(m) for m in original.modules()}
    made.train()(torch.randn(6, 4, generator=rng))
    assert made[1].num_batches_tracked == 1
    assert original[1].num_batches_tracked == 0


@pytest.mark.parametrize(
    "make",
    [threading.Lock, threading.local, lambda: (i for i in range(3)), lambda: threading],
    ids=["lock", "local", "generator", "module"],
)
@pytest.mark.parametrize("inside", [False, True])
def test_what_cannot_be_copied_is_shared_and_nothing_beside_it(make, inside):
    original, value = model(), make()
    original.held = [value, original[0], {"list": []}] if inside else value
    made = copied(original)
    if inside:
        assert made.held[0] is value
        assert made.held[1] is made[0]
        assert made.held[2] == {"list": []}
        assert made.held[2] is not original.held[2]
    else:
        assert made.held is value
    assert made[0] is not original[0]


def test_a_module_that_is_not_registered_is_copied_even_where_it_holds_a_lock():
    original, hidden = model(), nn.Dropout(0.5)
    hidden.lock = threading.Lock()
    original.hidden = [hidden]
    made = copied(original)
    assert made.hidden[0] is not hidden
    assert made.hidden[0].lock is hidden.lock


def weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(layer)


@pytest.mark.parametrize(
    "change",
    [weight_norm, nn.utils.spectral_norm, lambda layer: prune.random_unstructured(layer, "weight", 0.3)],
    ids=["weight_norm", "spectral_norm", "prune"],
)
def test_weights_that_a_forward_computes(change, rng):
    original = model()
    change(original[0])
    x = torch.randn(6, 4, generator=rng)
    original.train()(x)  # leaves a weight with a graph
    expected = original.eval()(x)
    held = original[0].weight
    made = copied(original)
    assert made[0].weight is not held
    assert made[0].weight.is_leaf
    assert original[0].weight is held
    assert not held.is_leaf
    assert torch.equal(made(x), expected)


def test_what_refuses_to_be_copied_is_an_error_of_ours():
    class Stubborn(nn.Linear):
        def __deepcopy__(self, memo):
            raise ValueError("no")

    with pytest.raises(PlanError, match=r"cannot be copied.*ValueError: no"):
        copied(nn.Sequential(Stubborn(2, 2)))


def test_calls_of_the_original_are_refused_in_this_thread_only(rng):
    original, x = model(), torch.randn(6, 4, generator=rng)
    original.held = types.SimpleNamespace(run=lambda value: original[0](value))
    made, failures = copied(original), []

    def elsewhere():
        try:
            original(x)
        except PlanError as error:
            failures.append(error)

    with only_the_copy(original):
        made(x)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        with pytest.raises(PlanError, match="module '0' is called"):
            made.held.run(x)
    assert not failures
    original(x)
