"""Progress is told to people on a terminal, or to whoever asks, and never stands in the way."""

import sys

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dropkit as dk
from dropkit.infer import progress
from dropkit.infer.progress import length, told


@pytest.fixture
def clock(monkeypatch):
    """Three seconds pass with every look at the clock; stderr is a terminal or not, as asked."""

    def set_up(terminal):
        ticks = iter(range(0, 10_000, 3))
        monkeypatch.setattr(progress, "monotonic", lambda: float(next(ticks)))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)

    return set_up


def test_a_terminal_has_one_line_that_goes_away(clock, capsys):
    clock(True)
    assert list(told("abcd", 4, None)) == list("abcd")
    err = capsys.readouterr().err
    assert "\n" not in err
    assert "predict: 1 of 4 batches, about 18 s left" in err
    assert "predict: 3 of 4 batches" in err
    assert err.endswith("\r")
    assert err.split("\r")[-2].isspace()


def test_a_log_has_a_line_now_and_then_if_it_is_asked_for(clock, capsys):
    clock(False)
    assert list(told("abcdefgh", None, None)) == list("abcdefgh")
    assert capsys.readouterr().err == ""
    clock(False)
    assert list(told("abcdefgh", None, True)) == list("abcdefgh")
    assert capsys.readouterr().err == "predict: 3 batches, 12 s\npredict: 7 batches, 24 s\n"


def test_what_is_not_wanted_or_quick_is_not_told(clock, capsys, monkeypatch):
    clock(True)
    list(told("abcd", 4, False))
    monkeypatch.setattr(progress, "monotonic", lambda: 0.0)
    list(told("abcd", 4, True))
    assert capsys.readouterr().err == ""


def test_the_line_goes_away_after_an_error_too(clock, capsys):
    clock(True)
    batches = told("abcd", 4, None)
    next(batches), next(batches)
    batches.close()
    assert capsys.readouterr().err.endswith("\r")


def test_predict_tells_of_its_batches_and_says_the_same(clock, capsys, rng):
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)).eval()
    x = torch.randn(12, 3, generator=rng)
    loader = DataLoader(TensorDataset(x), batch_size=4)
    quiet = dk.predict(model, loader, members=5, seed=1, mode="loop", progress=False)
    clock(False)
    found = dk.predict(model, loader, members=5, seed=1, mode="loop", progress=True)
    assert "predict: 2 batches" not in capsys.readouterr().err  # their number is known
    assert torch.equal(found.mean, quiet.mean)
    assert length(loader) == 3


def test_a_loader_that_does_not_know_its_length():
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([1, 2])

    assert length(DataLoader(Endless())) is None
