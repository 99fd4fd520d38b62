"""Whole layers skipped: coins, structures, what does not run, and what is refused."""

import copy
from collections import Counter, namedtuple

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import dropkit as dk
from dropkit.core import PlanError

from .models import assert_same, snapshot, streamed

WIDTH = 6
Named = namedtuple("Named", "hidden")


class Layer(nn.Module):
    """Returns what ``wrap`` makes of its result, and counts how often it runs."""

    wrap = staticmethod(lambda y: y)

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.runs = Counter()

    def forward(self, flag=None, hidden=None):
        self.runs["all"] += 1
        return self.wrap(torch.tanh(self.linear(hidden)))


class Single(Layer):
    wrap = staticmethod(lambda y: (y,))


class Pair(Layer):
    wrap = staticmethod(lambda y: (y, y.sum()))


class Record(Layer):
    wrap = staticmethod(Named)


class Stack(nn.Module):
    def __init__(self, cls=Layer, layers=4):
        super().__init__()
        self.layers = nn.ModuleList(cls() for _ in range(layers))

    def forward(self, x):
        for layer in self.layers:
            y = layer(flag=True, hidden=x)
            x = y[0] if isinstance(y, tuple) else y
        return x


def skipping(model, rate=0.5, at="layers.*", **rule):
    return dk.plan(model, [dk.Rule(at=at, variant="layer_drop", rate=rate, **rule)])


def coins(model, rate, seed, step):
    sites = [f"layers.{k}:layer" for k in range(len(model.layers))]
    return [bool(dk.random.mask((1,), rate, seed=seed, step=step, site=site)[0]) for site in sites]


@pytest.mark.parametrize("cls", [Layer, Single, Pair, Record])
def test_a_skipped_layer_hands_its_input_on(cls, rng):
    model, x = Stack(cls), torch.randn(3, WIDTH, generator=rng)
    plan = skipping(model)
    assert [(site.id, site.on) for site in plan.sites] == [(f"layers.{k}:layer", "layer") for k in range(4)]
    seen = Counter()
    with plan.apply(model):
        for step in range(20):
            expected = x
            for keep, layer in zip(coins(model, 0.5, 3, step), model.layers, strict=True):
                expected = torch.tanh(layer.linear(expected)) if keep else expected
                seen[keep] += 1
            with dk.random.stream(3, step=step):
                assert torch.equal(model(x), expected)
    assert min(seen[True], seen[False]) > 0
    runs = sum(layer.runs["all"] for layer in model.layers)
    assert runs == 80 if cls is Pair else seen[True] <= runs <= seen[True] + 4


def test_only_the_outermost_of_what_an_address_matches_is_a_layer():
    assert [site.module for site in skipping(Stack(layers=2)).sites] == ["layers.0", "layers.1"]
    assert [site.module for site in skipping(Stack(layers=2), at="Layer", except_=["layers.0"]).sites] == [
        "layers.1"
    ]
    plan = skipping(Stack(), rate=dk.nn.LinearByDepth(0.4))
    assert [site.rate for site in plan.sites] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert dk.surgery.Plan.from_json(plan.to_json()) == plan


def test_it_equals_the_wrapper_written_into_the_model(rng):
    """At a rate of 1 and of 0, where both leave chance no choice: their coins have other names."""
    layers = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(3)))
    x = torch.randn(4, WIDTH, generator=rng)
    for rate in (0.0, 1.0):
        with skipping(layers, rate, at="Linear").apply(layers):
            found = layers(x)
        assert torch.equal(found, dk.nn.LayerDrop(layers, rate)(x))


def test_nothing_happens_in_eval_mode_and_after_reverting(rng):
    model, x = Stack(), torch.randn(3, WIDTH, generator=rng)
    before, expected = snapshot(model), model(x)
    applied = skipping(model, 1.0).apply(model)
    assert torch.equal(model(x), x)
    assert torch.equal(model.eval()(x), expected)
    twin = copy.deepcopy(model.train())
    assert torch.equal(twin(x), x)
    applied.revert()
    assert_same(before, snapshot(model))
    assert torch.equal(model(x), expected)
    (copied,) = dk.surgery.attached(twin)
    copied.revert()
    assert torch.equal(twin(x), expected)


def test_parameters_of_a_skipped_layer_get_no_gradient(rng):
    model, x = Stack(layers=2), torch.randn(3, WIDTH, generator=rng)
    plan = dk.plan(model, [dk.Rule(at="layers.1", variant="layer_drop", rate=1.0)])
    with plan.apply(model):
        model(x).sum().backward()
    assert model.layers[0].linear.weight.grad is not None
    assert model.layers[1].linear.weight.grad is None


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_computes_the_same_layers_again(reentrant, rng):
    class Checkpointed(Stack):
        def forward(self, x):
            for layer in self.layers:
                x = checkpoint(lambda x, layer=layer: layer(hidden=x), x, use_reentrant=reentrant)
            return x

    plain, model = Stack(), Checkpointed()
    model.load_state_dict(plain.state_dict())
    x = torch.randn(3, WIDTH, generator=rng)
    for step in range(6):
        grads = []
        for one in (plain, model):
            with skipping(one).apply(one), dk.random.stream(5, step=step):
                leaf = x.clone().requires_grad_()
                one(leaf).sum().backward()
                grads.append(leaf.grad)
        assert torch.equal(*grads)


@pytest.mark.parametrize("cls", [Layer, Pair])
def test_attached_after_compiling(cls, rng):
    model, x = Stack(cls, layers=2), torch.randn(3, WIDTH, generator=rng)
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    with skipping(model).apply(model):
        for seed in range(2):
            torch.testing.assert_close(streamed(compiled, x, seed=seed), streamed(model, x, seed=seed))


def test_a_layer_that_changes_the_shape_is_refused(rng):
    model, x = nn.Sequential(nn.Linear(WIDTH, 3), nn.LSTM(3, 4)), torch.randn(3, WIDTH, generator=rng)
    for at, text in (
        ("0", r"'0:layer': only a layer that keeps the shape .* made shape \(3, 3\)"),
        ("1", "'1:layer'"),
    ):
        with skipping(model, at=at).apply(model), pytest.raises(PlanError, match=text):
            model(x)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"at": "layers.*", "on": "input"}, "skips whole layers; leave out on='input'"),
        ({"at": "input"}, "skips whole layers; address modules"),
        ({"at": "residual"}, "skips whole layers; address modules"),
        ({"at": "layers.0:relu#0"}, "skips whole layers; address modules"),
        ({"at": "layers.*", "options": {"layers": 2}}, "has no option 'layers'; it takes no option"),
    ],
)
def test_what_is_no_layer_is_refused(rule, text):
    with pytest.raises(PlanError, match=text):
        dk.plan(
            Stack(), [dk.Rule(variant="layer_drop", rate=0.1, **rule)], example_inputs=torch.ones(2, WIDTH)
        )
