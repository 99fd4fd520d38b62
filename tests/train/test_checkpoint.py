import os

import numpy as np
import pytest
import torch

from dropkit.core import ConfigError, DataError, FolderError
from dropkit.train import TrainConfig, fit
from dropkit.train.checkpoint import Checkpoint, fingerprint

from .problems import classes, mlp, values


@pytest.fixture
def saved(tmp_path, rng):
    file = Checkpoint(tmp_path / "deep" / "run.pt", "me")
    file.save({"weights": torch.randn(2000, generator=rng), "step": 3})
    return file


def test_what_was_saved_is_loaded_and_nothing_else_is_left_behind(saved, rng, seed):
    state = saved.load()
    assert state["step"] == 3
    assert torch.equal(state["weights"], torch.randn(2000, generator=torch.Generator().manual_seed(seed)))
    assert os.listdir(saved.path.parent) == ["run.pt"]


def test_no_file_is_no_state(tmp_path):
    assert Checkpoint(tmp_path / "none.pt", "me").load() is None


def test_a_flipped_bit_anywhere_in_the_numbers_is_noticed(saved):
    whole = saved.path.read_bytes()
    start = whole.index(torch.load(saved.path)["state"]["weights"].numpy().tobytes())
    for at in (start, start + 4321, start + 7999):
        saved.path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DataError, match=r"run\.pt is damaged .*; delete it"):
            saved.load()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", None])
def test_truncated_and_foreign_files_give_one_clear_line(saved, content):
    whole = saved.path.read_bytes()
    saved.path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DataError, match="is damaged") as caught:
        saved.load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [{"owner": "me"}, [1, 2], torch.zeros(2)])
def test_another_program_s_file_is_refused(saved, content):
    torch.save(content, saved.path)
    with pytest.raises(DataError, match="is damaged"):
        saved.load()


def test_code_in_a_checkpoint_is_never_run(saved, tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    torch.save({"schema": 1, "owner": "me", "state": {"x": Attack()}}, saved.path)
    with pytest.raises(DataError, match="is damaged") as caught:
        saved.load()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "attacked").exists()


def test_another_owner_is_refused(saved):
    with pytest.raises(ConfigError, match=r"run\.pt belongs to another run"):
        Checkpoint(saved.path, "you").load()


def test_a_failed_save_keeps_the_old_file(saved, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = saved.path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FolderError, match=r"cannot write checkpoint .*run\.pt: No space left"):
        saved.save({"step": 4})
    assert saved.path.read_bytes() == before
    assert saved.load()["step"] == 3


def test_the_new_file_is_on_disk_before_it_gets_its_name(saved, monkeypatch):
    events = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), sync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), rename(a, b))[1])
    saved.save({"step": 5})
    assert events == ["sync", "rename", "sync"]


def test_paths_that_cannot_be_used_give_one_clear_line(tmp_path, saved):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot make the folder of checkpoint"):
        Checkpoint(tmp_path / "file" / "run.pt", "me")
    with pytest.raises(FolderError, match="cannot read checkpoint"):
        Checkpoint(saved.path.parent, "me").load()


def test_fingerprint_ignores_order_and_sees_values():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint({"a": np.float32(0.5)}) == fingerprint({"a": 0.5})


@pytest.mark.parametrize("change", ["seed", "config", "train", "val", "model", "frozen", "nothing"])
def test_fit_refuses_the_checkpoint_of_another_run(change, tmp_path, seed):
    def run(**options):
        given = {
            "model": mlp(seed),
            "train": classes(20, seed),
            "val": classes(10, seed + 1),
            "config": TrainConfig(epochs=2, batch=8),
            "seed": seed,
        } | options
        return fit(task="classification", checkpoint=tmp_path / "run.pt", checkpoint_seconds=0, **given)

    first = run()
    other = {
        "seed": {"seed": seed + 1},
        "config": {"config": TrainConfig(epochs=3, batch=8)},
        "train": {"train": classes(21, seed)},
        "val": {"val": classes(10, seed + 2)},
        "model": {"model": mlp(seed, torch.nn.Linear(16, 16))},
        "frozen": {"model": frozen(mlp(seed))},
        "nothing": {},
    }[change]
    if change == "nothing":
        assert run(**other).epochs == first.epochs
        return
    with pytest.raises(ConfigError, match="belongs to another run"):
        run(**other)


def frozen(model):
    model[0].requires_grad_(False)
    return model


def test_units_of_the_target_are_part_of_the_run(tmp_path, seed):
    data, config = values(20, seed), TrainConfig(epochs=1, batch=8)
    common = {"task": "regression", "seed": seed, "checkpoint": tmp_path / "run.pt", "checkpoint_seconds": 0}
    fit(mlp(seed, outputs=2), data, data, config, target_std=2.0, **common)
    with pytest.raises(ConfigError, match="belongs to another run"):
        fit(mlp(seed, outputs=2), data, data, config, target_std=3.0, **common)
