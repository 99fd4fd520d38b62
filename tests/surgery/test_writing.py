"""Parameters that a forward writes to."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.surgery.auditing.watch import Watch
from dropkit.surgery.copying import copied
from dropkit.surgery.tree import Tree
from dropkit.surgery.writing import Guard, ParameterWritten

WRITES = {
    "mul_": lambda w: w.mul_(0.5),
    "data": lambda w: w.data.add_(1.0),
    "view": lambda w: w.view(-1)[:2].zero_(),
    "transposed": lambda w: w.t().copy_(torch.ones(3, 2)),
    "out": lambda w: torch.add(w, 1.0, out=w),
    "list": lambda w: torch._foreach_mul_([torch.ones(2), w], 2.0),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_stopped_before_it_happens(write):
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()

    class Writing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            WRITES[write](self.layer.weight)
            return x

    tree = Tree(Writing())
    guard = Guard(tree.root.parameters())
    with torch.no_grad(), guard, pytest.raises(ParameterWritten), Watch(tree, guard=guard).watching():
        tree.root(torch.ones(1, 3))
    assert [id(p) for p in guard.written] == [id(layer.weight)]
    assert torch.equal(layer.weight, before)


def test_reading_and_writing_to_clones_is_none():
    layer = nn.Linear(3, 2)

    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            w = self.layer.weight.clone().mul_(2.0)
            return self.layer(x).add_(1.0) + w.sum()

    tree = Tree(Reading())
    with torch.no_grad(), Guard(tree.root.parameters()) as guard, Watch(tree, guard=guard).watching():
        tree.root(torch.ones(1, 3))
    assert not guard.written


def test_what_is_assigned_to_data_is_taken_back():
    layer = nn.Linear(3, 2)
    before, address = layer.weight.detach().clone(), layer.weight.data_ptr()
    with Guard(layer.parameters()) as guard:
        layer.weight.data = torch.zeros(2, 3)
    assert [id(p) for p in guard.written] == [id(layer.weight)]
    assert torch.equal(layer.weight, before)
    assert layer.weight.data_ptr() == address


def test_a_copy_may_have_some_parameters_of_its_own():
    model = nn.Sequential(nn.Linear(3, 3), nn.LSTM(3, 3))
    model[0].bias = model[1].bias_ih_l0  # tied
    tied, shared = model[0].bias, model[0].weight
    made = copied(model, [tied])
    assert made[0].weight is shared
    assert made[0].bias is made[1].bias_ih_l0
    assert made[0].bias is not tied
    assert any(made[0].bias is flat for flat in made[1]._flat_weights)
    assert torch.equal(made[0].bias, tied)
    assert "bias" in dict(made[0].named_buffers())
    assert "bias" in dict(model[0].named_parameters())


class Changing(nn.Module):
    def __init__(self, write):
        super().__init__()
        self.layer, self.drop, self.write = nn.Linear(3, 2), nn.Dropout(0.5), write

    def forward(self, x):
        y = self.drop(torch.relu(self.layer(x)))
        with torch.no_grad():
            self.write(self.layer.weight)
        return y


def assigned(weight):
    weight.data = torch.zeros(2, 3)


@pytest.mark.parametrize("write", [*WRITES.values(), assigned])
@pytest.mark.parametrize("look", ["audit", "plan"])
def test_looks_put_back_what_a_forward_writes(write, look, rng):
    model, x = Changing(write), torch.randn(4, 3, generator=rng)
    before, address = model.layer.weight.detach().clone(), model.layer.weight.data_ptr()
    if look == "audit":
        assert [site.id for site in dk.audit(model, x).sites] == ["drop"]
    else:
        rule = dk.Rule(at="hidden", rate=0.5)
        assert dk.plan(model, [rule], example_inputs=x).sites
    assert torch.equal(model.layer.weight, before)
    assert model.layer.weight.data_ptr() == address


@pytest.mark.parametrize("first", [nn.Dropout(0.5, inplace=True), nn.ReLU(inplace=True)])
@pytest.mark.parametrize("make", [lambda x: x, lambda x: (x,), lambda x: {"input": x}])
def test_looks_leave_examples_as_they_are(first, make, rng):
    model, x = (
        nn.Sequential(first, nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)),
        torch.randn(4, 3, generator=rng),
    )
    before = x.clone()
    example = make(x)
    dk.audit(model, *example) if isinstance(example, tuple) else dk.audit(model, example)
    dk.plan(model, [dk.Rule(at="hidden", rate=0.5)], example_inputs=example)
    assert torch.equal(x, before)
