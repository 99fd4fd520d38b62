"""What a first forward leaves in lists, dicts, sets and tensors is gone after a look."""

import copy
from collections import OrderedDict, deque

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.surgery.containers import Contents

FOUND = []  # what hooks have collected


def collect(module, args, output):
    FOUND.append(output)


class Capturing(nn.Module):
    """Collects what its layers return through hooks that its first forward registers, as Hugging Face does."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(6, 3)

    def forward(self, x):
        if not getattr(self, "hooked", False):
            for layer in self.layers:
                layer.register_forward_hook(collect)
            self.hooked = True
        FOUND.clear()
        for layer in self.layers:
            x = torch.relu(layer(self.drop(x)))
        return self.head(torch.stack(FOUND).sum(0))


class Remembering(nn.Module):
    """Keeps what it met in containers and tensors that are its own, and grows."""

    def __init__(self):
        super().__init__()
        self.fc, self.drop, self.past, self.parts = nn.Linear(6, 3), nn.Dropout(0.1), [], {"seen": []}
        self.total, self.found, self.last = torch.zeros(3), {1, 2}, deque(maxlen=2)
        self.register_buffer("edges", torch.eye(3).to_sparse())

    def forward(self, x):
        self.past.append(x)
        self.parts["seen"].append(x.shape)
        self.found.add(7)
        self.last.append(x)
        self.total.data.add_(1)
        self.edges.mul_(2)
        self.late = nn.Identity()
        return self.drop(self.fc(x))


X = torch.linspace(-1, 1, 24).view(4, 6)


def looked(model, how):
    if how == "audit":
        dk.audit(model, X)
    elif how == "plan":
        dk.plan(model, [dk.Rule(at="hidden")], example_inputs=X)
    else:
        dk.predict(model, X, members=40, seed=1)


@pytest.mark.parametrize("how", ["audit", "plan", "predict"])
def test_hooks_of_a_first_call_come_once(how, rng):
    model = Capturing().eval()
    with torch.no_grad():
        expected = copy.deepcopy(model)(X)
        looked(model, how)
        assert torch.equal(model(X), expected)
        assert torch.equal(model(X), expected)


def test_members_are_those_of_a_model_that_has_run(seed):
    fresh = Capturing().eval()
    used = copy.deepcopy(fresh)
    used(X)
    options = {"seed": seed, "members": 8, "keep_members": True, "mode": "loop"}
    first, second = (dk.predict(model, X, **options).members for model in (fresh, used))
    assert torch.equal(first, second)


@pytest.mark.parametrize("how", ["audit", "predict"])
def test_nothing_stays_in_what_attributes_hold(how, rng):
    model = Remembering().eval()
    names = set(vars(model))
    looked(model, how)
    assert set(vars(model)) == names
    assert (model.past, model.parts, model.found) == ([], {"seen": []}, {1, 2})
    assert not model.last
    assert model.total.tolist() == [0, 0, 0]
    assert torch.equal(model.edges.to_dense(), torch.eye(3))
    assert "late" not in dict(model.named_modules())


def test_containers_inside_containers_and_in_order():
    inner, order, names = [1, (2, 3)], OrderedDict(a=1, b=2), {"x"}
    held = {"inner": inner, "self": None}
    held["self"] = held
    contents = Contents([held, order, names, torch.ones(2)])
    assert len(contents.tensors) == 1
    inner[1] = (2, 3.5)
    order.move_to_end("a")
    names.clear()
    del held["inner"]
    contents.put_back()
    assert held["inner"] is inner
    assert inner == [1, (2, 3)]
    assert list(order) == ["a", "b"]
    assert names == {"x"}
