"""Plans on disk."""

import copy
import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError, PlanError
from dropkit.random import stream
from dropkit.surgery import attached

from .models import MLP, assert_same, snapshot


def hidden(model, rate=0.5):
    return dk.plan(model, [dk.Rule(at="hidden", rate=rate), dk.Rule(at="input", rate=0.1)])


def mixed(model):
    return dk.plan(model, [dk.Rule(at="weights", variant="mixout", rate=0.5)])


def test_a_saved_plan_is_attached_again(tmp_path, seed, rng):
    model, x = MLP(), torch.randn(5, 6, generator=rng)
    other = copy.deepcopy(model)
    hidden(model).apply(model)
    dk.save_plan(tmp_path / "plan.json", model)
    assert os.listdir(tmp_path) == ["plan.json"]
    applied = dk.load_plan(str(tmp_path / "plan.json"), other)
    assert applied.active
    assert applied.plan == attached(model)[0].plan
    with stream(seed):
        y = model(x)
    with stream(seed):
        assert torch.equal(other(x), y)
    applied.revert()
    assert not torch.equal(other(x), y)


def test_tensors_of_sites_are_saved_beside(tmp_path, seed, rng):
    model, x = MLP(), torch.randn(5, 6, generator=rng)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    mixed(model).apply(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    dk.save_plan(tmp_path / "plan.json", model)
    saved = load_file(tmp_path / "plan.safetensors")
    assert saved.keys() == {"net.0:weight/weight", "net.2:weight/weight"}
    assert torch.equal(saved["net.0:weight/weight"], start["net.0.weight"])
    other = MLP()
    other.load_state_dict(model.state_dict())
    dk.load_plan(tmp_path / "plan.json", other)
    with stream(seed):
        y = model(x)
    with stream(seed):
        assert torch.equal(other(x), y)


def test_several_plans_are_saved_as_their_sum(tmp_path):
    model, other = MLP(), MLP()
    first, second = hidden(model), mixed(model)
    first.apply(model)
    second.apply(model)
    dk.save_plan(tmp_path / "plan.json", model)
    assert set(dk.load_plan(tmp_path / "plan.json", other).sites) == set((first + second).sites)


def test_a_model_without_a_plan_is_refused(tmp_path):
    with pytest.raises(PlanError, match="no plan attached, so there is nothing to save"):
        dk.save_plan(tmp_path / "plan.json", MLP())
    assert not os.listdir(tmp_path)


class Deeper(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU())

    def forward(self, x):
        return self.net(x)


def wider():
    model = MLP()
    model.net[2] = nn.Linear(8, 9)
    return model


@pytest.mark.parametrize(
    ("make", "model", "error", "text"),
    [
        (hidden, Deeper(), NoMatchError, "site 'net.3': the model has no module 'net.3'"),
        (mixed, Deeper(), NoMatchError, "site 'net.2:weight': the model has no module 'net.2'"),
        (mixed, wider(), PlanError, r"site 'net.2:weight': .* has shape \(9, 8\) in this model, \(8, 8\) in"),
    ],
)
def test_a_model_that_does_not_fit_is_named_and_left_alone(make, model, error, text, tmp_path):
    source = MLP()
    make(source).apply(source)
    dk.save_plan(tmp_path / "plan.json", source)
    before = snapshot(model)
    with pytest.raises(error, match=text) as caught:
        dk.load_plan(tmp_path / "plan.json", model)
    assert "\n" not in str(caught.value)
    assert_same(snapshot(model), before)
    assert not attached(model)


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def edit(**changes):
    def write(path):
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return write


def other_tensors(path):
    save_file({"a": torch.ones(2)}, path.with_suffix(".safetensors"))


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: path.unlink(), "there is no plan at"),
        (cut, "cannot be read as a plan"),
        (lambda path: path.write_bytes(b"\xff\x00"), "cannot be read as a plan"),
        (lambda path: path.write_text("[]"), "is not a plan as dropkit.save_plan writes it"),
        (edit(schema=99), "has schema 99, this version reads 1"),
        (edit(plan={"schema": 1}), "plan lacks"),
        (edit(tensors=None), "lacks the tensor"),
        (lambda path: path.with_suffix(".safetensors").unlink(), "tensors of the plan are missing"),
        (lambda path: cut(path.with_suffix(".safetensors")), "checksum is wrong"),
        (other_tensors, "checksum is wrong"),
    ],
)
def test_files_that_are_missing_or_damaged_are_one_clear_error(spoil, text, tmp_path):
    source, model = MLP(), MLP()
    mixed(source).apply(source)
    path = tmp_path / "plan.json"
    dk.save_plan(path, source)
    spoil(path)
    with pytest.raises(PlanError, match=text) as caught:
        dk.load_plan(path, model)
    assert "\n" not in str(caught.value)
    assert not attached(model)


def test_a_failed_write_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    model = MLP()
    hidden(model).apply(model)
    path = tmp_path / "plan.json"
    dk.save_plan(path, model)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PlanError, match=r"cannot write .*plan.json: No space left on device"):
        dk.save_plan(path, model)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["plan.json"]


def test_files_that_are_not_of_a_plan_are_not_overwritten(tmp_path):
    model = MLP()
    mixed(model).apply(model)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(
        PlanError, match=r"exists and is not of a plan; choose another name than 'model.json'"
    ):
        dk.save_plan(tmp_path / "model.json", model)
    with pytest.raises(PlanError, match="name of the file of tensors"):
        dk.save_plan(tmp_path / "plan.safetensors", model)
    dk.save_plan(tmp_path / "plan.json", model)
    dk.save_plan(tmp_path / "plan.json", model)


def test_a_rate_that_is_code_is_refused(tmp_path):
    model = MLP()
    dk.plan(model, [dk.Rule(at="hidden", rate=lambda step: 0.5)]).apply(model)
    with pytest.raises(PlanError, match="cannot be saved, as it is code"):
        dk.save_plan(tmp_path / "plan.json", model)
    assert not os.listdir(tmp_path)
