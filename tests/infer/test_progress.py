"""Progress is told to people on a terminal, or to whoever asks, and never stands in the way."""

import sys

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dropkit as dk
from dropkit.infer import progress
from dropkit.infer.progress import Told, length


@pytest.fixture
def clock(monkeypatch):
    """Three seconds pass with every look at the clock; stderr is a terminal or not, as asked."""

    def set_up(terminal):
        ticks = iter(range(0, 10_000, 3))
        monkeypatch.setattr(progress, "monotonic", lambda: float(next(ticks)))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)

    return set_up


def walk(told, batches, chunks=(1,)):
    """Go through batches of members in chunks of these sizes, and return what came."""
    found = []
    for batch in told.batches(batches):
        parts = [("loop", {"output": [batch] * size}) for size in chunks]
        assert list(told.members(iter(parts), sum(chunks))) == parts
        found.append(batch)
    return found


def test_a_terminal_has_one_line_that_goes_away(clock, capsys):
    clock(True)
    assert walk(Told(4, None), "abcd") == list("abcd")
    err = capsys.readouterr().err
    assert "\n" not in err
    assert "predict: 1 of 4 batches, about 9 s left" in err
    assert "predict: 3 of 4 batches" in err
    assert err.endswith("\r")
    assert err.split("\r")[-2].isspace()


def test_one_batch_has_a_line_about_its_members(clock, capsys):
    clock(True)
    walk(Told(1, None), "a", [1, 2, 5])
    err = capsys.readouterr().err
    assert "predict: 1 of 8 members, about 21 s left" in err
    assert "predict: 3 of 8 members, about 10 s left" in err
    clock(True)
    walk(Told(2, None), "ab", [1, 3])
    err = capsys.readouterr().err
    assert "predict: 0 of 2 batches, about 21 s left" in err  # after an eighth
    assert "predict: 1 of 2 batches, about 5 s left" in err  # after five


def test_a_log_has_a_line_now_and_then_if_it_is_asked_for(clock, capsys):
    clock(False)
    assert walk(Told(None, None), "abcdefgh") == list("abcdefgh")
    assert capsys.readouterr().err == ""
    clock(False)
    assert walk(Told(None, True), "abcdefgh") == list("abcdefgh")
    assert capsys.readouterr().err == "predict: 4 batches, 12 s\npredict: 8 batches, 24 s\n"


def test_what_is_not_wanted_or_quick_is_not_told(clock, capsys, monkeypatch):
    clock(True)
    walk(Told(4, False), "abcd")
    monkeypatch.setattr(progress, "monotonic", lambda: 0.0)
    walk(Told(4, True), "abcd")
    assert capsys.readouterr().err == ""


def test_the_line_goes_away_after_an_error_too(clock, capsys):
    clock(True)
    told = Told(4, None)
    batches = told.batches("abcd")
    for _ in range(2):
        next(batches)
        list(told.members([("loop", {"output": [1]})], 1))
    batches.close()
    assert capsys.readouterr().err.endswith("\r")


def test_predict_tells_of_its_batches_and_says_the_same(clock, capsys, rng):
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)).eval()
    x = torch.randn(12, 3, generator=rng)
    loader = DataLoader(TensorDataset(x), batch_size=4)
    quiet = dk.predict(model, loader, members=40, seed=1, mode="loop", progress=False)
    clock(False)
    found = dk.predict(model, loader, members=40, seed=1, mode="loop", progress=True)
    assert "predict: 0 of 3 batches, about" in capsys.readouterr().err
    assert torch.equal(found.mean, quiet.mean)
    clock(False)
    dk.predict(model, x, members=40, seed=1, mode="loop", progress=True)
    assert "predict: 32 of 40 members, about 3 s left" in capsys.readouterr().err
    assert length(loader) == 3


def test_a_loader_that_does_not_know_its_length():
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([1, 2])

    assert length(DataLoader(Endless())) is None
