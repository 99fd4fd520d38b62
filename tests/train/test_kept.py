"""Weights on the disk: bit for bit, and only of the model they came from."""

import pytest
import torch
from torch import nn

from dropkit.core import DataError, FolderError
from dropkit.train import load_weights, weights_of


def network(width=3):
    model = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 2))
    model.register_buffer("mask", torch.rand(2), persistent=False)
    return model


@pytest.fixture
def saved(tmp_path):
    model = network()
    model(torch.randn(8, 4))
    (tmp_path / "w.safetensors").write_bytes(weights_of(model))
    return model, tmp_path / "w.safetensors"


def test_they_come_back_bit_for_bit_with_every_buffer(saved):
    model, path = saved
    other = network()
    assert weights_of(other) != weights_of(model)
    load_weights(path, other)
    assert weights_of(other) == weights_of(model) == path.read_bytes()
    assert torch.equal(other.mask, model.mask)
    assert torch.equal(other[1].running_mean, model[1].running_mean)


def test_shared_and_strided_weights_are_kept(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model[0].weight.data = torch.arange(9.0).reshape(3, 3).t()
    (tmp_path / "w").write_bytes(weights_of(model))
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    other[1].weight = other[0].weight
    load_weights(tmp_path / "w", other)
    assert torch.equal(other[1].weight, model[0].weight)


def test_a_parameter_without_a_shape_is_left_out():
    assert b"weight" not in weights_of(nn.LazyLinear(2))


def test_another_model_is_refused_and_not_touched(saved):
    _, path = saved
    for other, name in ((network(width=5), "0.weight"), (nn.Linear(4, 3), "0.bias")):
        before = weights_of(other)
        with pytest.raises(DataError, match=rf"of another model \({name} differs\)"):
            load_weights(path, other)
        assert weights_of(other) == before


def test_a_damaged_or_missing_file_is_refused(saved):
    model, path = saved
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="damaged"):
        load_weights(path, model)
    path.unlink()
    with pytest.raises(FolderError, match="cannot read weights"):
        load_weights(path, model)
