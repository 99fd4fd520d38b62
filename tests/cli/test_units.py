"""The note about inputs in another unit."""

import pytest
import torch
from torch.utils.data import TensorDataset

from dropkit.cli.units import unit_note


@pytest.fixture
def trained(rng):
    return TensorDataset(torch.rand(300, 1, 4, 4, generator=rng) + 0.5, torch.zeros(300))


@pytest.mark.parametrize("factor", [1 / 255, 1 / 16, 16, 255])
def test_inputs_scaled_once_too_often_or_too_rarely_are_noted(trained, factor):
    note = unit_note("new.npz", TensorDataset(trained.tensors[0] * factor), trained)
    assert note.startswith("new.npz: once scaled")
    assert "root mean square" in note


@pytest.mark.parametrize("factor", [0.5, 1, 2])
def test_inputs_of_about_the_same_size_are_not(trained, factor):
    assert unit_note("new.npz", TensorDataset(trained.tensors[0] * factor), trained) is None


def test_few_numbers_may_be_small(trained):
    assert unit_note("new.csv", TensorDataset(torch.full((1, 2), 0.01)), trained) is None
    assert unit_note("new.csv", TensorDataset(torch.full((1, 2), 100.0)), trained) is not None
