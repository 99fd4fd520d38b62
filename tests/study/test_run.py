"""One run, in this process: its files, and that nothing but the seed decides them."""

import dataclasses

import pytest
import torch

from dropkit import records
from dropkit.study import material, run
from dropkit.study.config import load_config
from dropkit.study.grid import candidates
from dropkit.study.run import RunJob, work
from dropkit.train import evaluate, fit
from tests.study.small import study


@pytest.fixture
def job(tmp_path):
    def make(plan="hidden", seed=3, folder="study", **changes):
        config = load_config(study(**changes))
        found = {candidate.name: candidate for candidate in candidates(config)}[plan]
        return RunJob(config, found, seed, tmp_path / folder)

    return make


def files(job):
    return {path.relative_to(job.folder).as_posix(): path.read_bytes() for path in job.folder.rglob("*.*")}


def test_a_run_leaves_its_record_and_its_timing(job):
    told, one = [], job()
    work(one, told.append)
    names = ["checkpoints/hidden--3.safetensors", "runs/hidden--3.json", "timing/hidden--3.json"]
    assert sorted(files(one)) == names
    found = records.read_run(one.folder / "runs" / "hidden--3.json")
    assert (found.plan, found.seed, found.status, found.error) == ("hidden", 3, "ok", None)
    assert [epoch.epoch for epoch in found.epochs] == [1, 2]
    assert told == [(epoch.epoch, 2, epoch.val["error"]) for epoch in found.epochs]
    assert set(found.test["per_class"]) == {"precision", "recall", "f1"}
    assert 0 <= found.test["error"] < 0.67
    timing = records.read_timing(one.folder / "timing" / "hidden--3.json")
    assert timing.seconds > timing.step_seconds > 0


def test_the_record_hangs_on_configuration_plan_and_seed_alone(job):
    first, again, other = job(), job(folder="again"), job(seed=4, folder="other")
    work(first, lambda message: None)
    torch.rand(5)
    work(again, lambda message: None)
    work(other, lambda message: None)
    assert files(first)["runs/hidden--3.json"] == files(again)["runs/hidden--3.json"]
    assert (
        records.load_runs(first.folder)["hidden", 3].test != records.load_runs(other.folder)["hidden", 4].test
    )


def test_a_run_that_was_interrupted_goes_on_to_the_same_record(job, monkeypatch):
    whole, cut = job(train={"epochs": 4}), job(train={"epochs": 4}, folder="cut")
    work(whole, lambda message: None)
    monkeypatch.setattr(run, "fit", lambda *args, **kwargs: fit(*args, **kwargs, checkpoint_seconds=0.0))

    class Blackout(Exception):
        pass

    epochs = []

    def interrupt(message):
        epochs.append(message[0])
        if epochs == [1, 2, 3]:
            raise Blackout

    with pytest.raises(Blackout):
        work(cut, interrupt)
    assert cut.checkpoint.exists()
    work(cut, interrupt)
    assert epochs in ([1, 2, 3, 3, 4], [1, 2, 3, 4])  # it did not begin again
    assert not cut.checkpoint.exists()
    assert files(cut)["runs/hidden--3.json"] == files(whole)["runs/hidden--3.json"]


def test_a_run_whose_loss_explodes_is_recorded_as_diverged(job):
    one = job(train={"lr": 1e30, "epochs": 3})
    work(one, lambda message: None)
    found = records.read_run(one.folder / "runs" / "hidden--3.json")
    assert (found.status, found.test) == ("diverged", {})
    assert "NaN or infinite in epoch" in found.error
    assert not one.checkpoint.exists()


def test_the_test_part_is_looked_at_once_and_last(job, monkeypatch):
    looks = []

    class Watched(torch.utils.data.Dataset):
        def __init__(self, inner):
            self.inner = inner

        def __len__(self):
            return len(self.inner)

        def __getitem__(self, index):
            looks.append(index)
            return self.inner[index]

    real, size = material.load, None

    def load(config, seed):
        nonlocal size
        data = real(config, seed)
        size = len(data.test)
        return dataclasses.replace(data, test=Watched(data.test))

    monkeypatch.setattr(run, "load", load)
    work(job(), lambda message: looks.append("epoch"))
    last = len(looks) - looks[::-1].index("epoch")
    assert set(looks[:last]) == {"epoch"}
    assert set(looks[last:]) == set(range(size))


def test_the_plan_is_active_while_testing(job, monkeypatch):
    # With scaling="test" the outputs are multiplied when the mask is off: without the plan they would be too large.
    rules = [{"at": "hidden", "rate": 0.9, "options": {"scaling": "test"}}]
    one = job(plan="late", plans={"none": {"rules": []}, "late": {"rules": rules}})
    models = []
    real = evaluate
    monkeypatch.setattr(run, "evaluate", lambda model, *a, **k: models.append(model) or real(model, *a, **k))
    work(one, lambda message: None)
    data = material.load(one.config, one.seed)
    plain = evaluate(models[0], data.test, task="classification", batch=512)
    with material.with_plan(one.candidate, models[0], data):
        scaled = evaluate(models[0], data.test, task="classification", batch=512)
    found = records.read_run(one.folder / "runs" / "late--3.json")
    assert found.test["nll"] == scaled["nll"] != plain["nll"]


def test_early_stopping_is_recorded(job):
    one = job(train={"patience": 1, "epochs": 40, "lr": 3.0})
    work(one, lambda message: None)
    found = records.read_run(one.folder / "runs" / "hidden--3.json")
    assert found.status == "ok"
    losses = [epoch.val["loss"] for epoch in found.epochs]
    assert len(losses) < 40
    assert (found.best_epoch or len(losses)) == 1 + losses.index(min(losses))
