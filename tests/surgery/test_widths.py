"""Learned sites know how many units they have learned something about, and are not loaded where there are others."""

import json

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import PlanError, ShapeError
from dropkit.surgery import attached

from .models import assert_same, snapshot


def sequential(width, more=8):
    return nn.Sequential(nn.Linear(6, width), nn.Dropout(0.1), nn.ReLU(), nn.Linear(width, more), nn.Tanh())


class Called(nn.Module):
    """Activations whose place in the forward only the forward knows."""

    def __init__(self, width, more=8):
        super().__init__()
        self.one, self.act, self.two = nn.Linear(6, width), nn.ReLU(), nn.Linear(width, more)

    def forward(self, x):
        return torch.tanh(self.two(self.act(self.one(x))))


class Normed(nn.Module):
    def __init__(self, width, more=8):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(6, width, 1), nn.BatchNorm2d(width)
        self.pool, self.out = nn.AdaptiveAvgPool2d(1), nn.Linear(width, more)

    def forward(self, x):
        return self.out(self.pool(self.norm(self.conv(x[:, :, None, None]))).flatten(1))


def saved(tmp_path, model, at, variant, **rule):
    rule.setdefault("rate", 0.4)
    example = torch.ones(4, 6)
    dk.plan(model, [dk.Rule(at=at, variant=variant, **rule)], example_inputs=example).apply(model)
    dk.save_plan(tmp_path / "plan.json", model)
    return tmp_path / "plan.json"


@pytest.mark.parametrize("variant", ["contextual_dropout", "guided_dropout", "homeostatic_dropout"])
@pytest.mark.parametrize(
    ("make", "at", "more"),
    [
        (sequential, "2", {}),
        (sequential, "0", {}),
        (sequential, "3", {"on": "input"}),
        (Called, "one", {}),
        (Called, "act", {}),
        (Normed, "norm", {}),
        (Normed, "pool", {}),
    ],
)
def test_a_layer_of_another_width_is_named_and_the_model_left_alone(make, at, more, variant, tmp_path):
    path = saved(tmp_path, make(8), at, variant, **more)
    wider = make(16).eval()
    before = snapshot(wider)
    with pytest.raises(PlanError, match=r"site '[\w:]+' .*shape \(8,\).*shape \(16,\)") as caught:
        dk.load_plan(path, wider)
    assert "\n" not in str(caught.value)
    assert_same(snapshot(wider), before)
    assert not attached(wider)
    same = make(8, more=20)  # elsewhere a model may differ
    dk.load_plan(path, same)
    assert same(torch.ones(4, 6)).shape == (4, 20)


def test_a_call_of_another_width_is_named(tmp_path):
    path = saved(tmp_path, Called(8, more=5), ":tanh#0", "guided_dropout")
    with pytest.raises(PlanError, match=r"site ':tanh#0' .*shape \(5,\).*'two' have shape \(7,\)"):
        dk.load_plan(path, Called(8, more=7))
    dk.load_plan(path, Called(20, more=5))


def test_a_model_that_may_be_right_is_not_refused(tmp_path):
    """Of two layers as wide as the site one still is: it may be the one that counts."""
    path = saved(tmp_path, Called(8), ":tanh#0", "guided_dropout")
    model = Called(16)
    dk.load_plan(path, model)
    model(torch.ones(4, 6))
    wrong = Called(8, more=16)
    dk.load_plan(path, wrong)
    with pytest.raises(ShapeError, match=r"site ':tanh#0': .*\(4, 16\); plan again for this model"):
        wrong(torch.ones(4, 6))


def test_what_counts_something_else_than_units_is_no_matter(tmp_path):
    class Tokens(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.one, self.act = nn.Linear(1, width), nn.ReLU()

        def forward(self, x):
            return self.act(self.one(x.unsqueeze(2)))

    path = saved(tmp_path, Tokens(8), "act", "guided_dropout", options={"axis": 1})
    model = Tokens(16)
    dk.load_plan(path, model)
    assert model(torch.ones(4, 6)).shape == (4, 6, 16)


def test_files_without_widths_are_read_and_damaged_ones_refused(tmp_path):
    path = saved(tmp_path, sequential(8), "2", "guided_dropout")
    body = json.loads(path.read_text())
    assert body["widths"] == {"2": {"0": 8}}
    for bad in ([], {"2": 8}, {"2": {"0": "8"}}):
        path.write_text(json.dumps({**body, "widths": bad}))
        with pytest.raises(PlanError, match="widths must be numbers of units"):
            dk.load_plan(path, sequential(8))
    path.write_text(json.dumps({key: value for key, value in body.items() if key != "widths"}))
    assert dk.load_plan(path, sequential(8)).active
