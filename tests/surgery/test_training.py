"""A plan attached = the same dropout written into the model, bit for bit under one stream."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit.core import PlanError, RateError
from dropkit.ops import dropout
from dropkit.surgery.forms import (
    acts_on_a_sum,
    acts_on_a_tensor,
    acts_on_weights_only,
    is_held,
    skips_layers,
    wraps_module,
)

from .models import CNN, MLP, Functional, Twice


class HandMLP(MLP):
    def forward(self, x):
        x = dropout(x, 0.1, training=self.training, site=":input")
        for i, layer in enumerate(self.net):
            x = layer(x)
            if i in (1, 3):
                x = dropout(x, 0.5, training=self.training, site=f"net.{i}")
        return x


class HandCNN(CNN):
    def forward(self, x):
        x = dropout(x, 0.1, training=self.training, site=":input")
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in (2, 4):
                x = dropout(x, 0.5, training=self.training, site=f"features.{i}")
        return self.head(x.flatten(1))


class HandFunctional(Functional):
    def forward(self, x):
        def drop(x, site):
            return dropout(x, 0.5, training=self.training, site=site)

        x = dropout(x, 0.1, training=self.training, site=":input")
        x = drop(F.relu(self.one(x)), ":relu#0")
        for i, block in enumerate(self.blocks):
            x = x + drop(F.gelu(block.mlp(x)), f"blocks.{i}:gelu#0")
        x = drop(self.act(x), "act")
        x = drop(torch.tanh(x), ":tanh#0")
        return self.two(drop(torch.relu(x * 2), ":relu#1"))


class HandTwice(Twice):
    """Occurrences tell the two calls of one site apart."""

    def forward(self, x):
        def drop(x, site):
            return dropout(x, 0.5, training=self.training, site=site)

        def block(x):
            return x + drop(F.gelu(self.block.mlp(x)), "block:gelu#0")

        x = dropout(x, 0.1, training=self.training, site=":input")
        x = drop(self.first(block(x)), "first")
        return drop(self.second(block(x)), "first")


def train(model, x, y, *, seed):
    """Three steps of SGD; returns every loss and parameter, and the output in eval mode."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    with dk.random.stream(seed) as stream:
        for _ in range(3):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            stream.advance()
            losses.append(loss.detach())
    return [*losses, *(p.detach() for p in model.parameters()), *model.buffers(), model.eval()(x)]


@pytest.mark.parametrize(
    ("planned", "by_hand", "shape"),
    [
        (MLP, HandMLP, (16, 6)),
        (CNN, HandCNN, (16, 1, 8, 8)),
        (Functional, HandFunctional, (16, 6)),
        (Twice, HandTwice, (16, 6)),
    ],
)
def test_a_plan_equals_dropout_written_by_hand(planned, by_hand, shape, rng):
    x, y = torch.randn(shape, generator=rng), torch.randint(3, (16,), generator=rng)
    model, hand, plain = planned(), by_hand(), planned()
    hand.load_state_dict(model.state_dict())
    plain.load_state_dict(model.state_dict())
    rules = [dk.Rule(at="hidden", rate=0.5), dk.Rule(at="input", rate=0.1)]
    dk.plan(model, rules, example_inputs=x[:1]).apply(model)
    found, expected = train(model, x, y, seed=7), train(hand, x, y, seed=7)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.equal(found[0], train(plain, x, y, seed=7)[0])


def test_equal_plans_give_equal_masks_and_other_sites_or_seeds_do_not(rng):
    x = torch.ones(64, 6)

    def run(seed, rules):
        model = nn.Sequential(nn.Identity(), nn.Identity())
        with dk.plan(model, rules).apply(model), dk.random.stream(seed):
            return model(x)

    rule = dk.Rule(at="0", rate=0.5)
    assert torch.equal(run(3, [rule]), run(3, [dk.Rule(at="re:0", rate=0.5)]))
    assert not torch.equal(run(3, [rule]), run(4, [rule]))
    assert not torch.equal(run(3, [rule]), run(3, [dk.Rule(at="1", rate=0.5)]))


def test_a_mask_does_not_depend_on_the_plan_around_it(rng):
    model, x = MLP(), torch.randn(16, 6, generator=rng)
    seen = {}
    model.net[3].register_forward_pre_hook(lambda m, args: None)
    for name, rules in {
        "alone": [dk.Rule(at="net.3", rate=0.5)],
        "with a silent one": [dk.Rule(at="net.3", rate=0.5), dk.Rule(at="net.1", rate=0.0)],
    }.items():
        with dk.plan(model, rules).apply(model), dk.random.stream(5):
            seen[name] = model(x)
    assert torch.equal(seen["alone"], seen["with a silent one"])


def test_masks_are_those_of_the_public_reference():
    model, x = nn.Sequential(nn.Identity()), torch.ones(8, 5)
    with dk.plan(model, [dk.Rule(at="0", rate=0.3)]).apply(model), dk.random.stream(11, rank=0):
        first, second = model(x) != 0, model(x) != 0
    for occurrence, kept in enumerate((first, second)):
        mask = dk.random.mask((8, 5), 0.3, seed=11, site="0", occurrence=occurrence)
        assert torch.equal(kept, torch.from_numpy(mask))


@pytest.mark.parametrize("entry", dk.catalogue(), ids=lambda entry: entry.name)
def test_every_variant_that_acts_on_a_tensor_can_be_attached(entry):
    if any(
        form(entry) for form in (acts_on_weights_only, wraps_module, acts_on_a_sum, skips_layers, is_held)
    ):
        return  # elsewhere
    if not acts_on_a_tensor(entry):
        with pytest.raises((PlanError, RateError), match=r"cannot be attached|no default rate"):
            dk.Rule(at="0", variant=entry.name)
        return
    _, x = entry.example()
    model = nn.Sequential(nn.Identity())
    plan = dk.plan(model, [dk.Rule(at="0", variant=entry.name)])
    changed = False
    with plan.apply(model):
        for step in range(30):
            with dk.random.stream(2, step=step):
                y = model(x)
            with dk.random.stream(2, step=step):
                assert torch.equal(y, entry.op(x, entry.default_rate, training=True, site="0"))
            changed |= not torch.equal(y, x)
    assert changed
