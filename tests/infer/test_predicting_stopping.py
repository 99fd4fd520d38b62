"""Predictions that stop once their Monte-Carlo error is small, and what one can do with results."""

import pickle

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dropkit as dk
from dropkit.core import ConfigError


def network(rate=0.5):
    return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(rate), nn.Linear(32, 3)).eval()


@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
@pytest.mark.parametrize("members", [60, 5000])
def test_few_members_are_enough_for_a_large_tolerance(mode, members, rng, seed):
    x = torch.randn(6, 4, generator=rng)
    got = dk.predict(network(), x, members=members, seed=seed, tolerance=1e3, mode=mode)
    assert 16 <= got.n_members < members


def test_all_members_run_for_one_that_is_not_reached(rng, seed):
    x = torch.randn(6, 4, generator=rng)
    assert dk.predict(network(), x, members=70, seed=seed, tolerance=1e-12).n_members == 70


def test_members_that_have_dropped_nothing_yet_are_no_reason_to_stop(rng, seed):
    x = torch.randn(6, 4, generator=rng)
    got = dk.predict(network(rate=1e-4), x, members=20_000, seed=seed, tolerance=1e3)
    assert (got.variance > 0).any()


def test_every_batch_of_a_loader_stops_by_itself(rng, seed):
    model, x = network(), torch.randn(12, 4, generator=rng)
    x[6:] *= 20.0  # needs more members
    loader = DataLoader(TensorDataset(x), batch_size=6)
    tolerance = 2 * float(dk.predict(model, x[:6], members=40, seed=seed).standard_error.max())
    got = dk.predict(model, loader, members=100_000, seed=seed, tolerance=tolerance, mode="loop")
    halves = [
        dk.predict(model, part, members=100_000, seed=seed, tolerance=tolerance, mode="loop")
        for part in x.split(6)
    ]
    assert halves[0].n_members < halves[1].n_members == got.n_members
    torch.testing.assert_close(got.mean, torch.cat([half.mean for half in halves]))
    torch.testing.assert_close(got.standard_error, torch.cat([half.standard_error for half in halves]))
    assert got.standard_error.max() <= tolerance
    with pytest.raises(ConfigError, match="leave out keep_members"):
        dk.predict(model, loader, seed=seed, tolerance=tolerance, keep_members=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_are_ordinary_tensors(dtype, rng, seed):
    model, x = network().to(dtype), torch.randn(6, 4, generator=rng).to(dtype)
    got = dk.predict(model, x, members=9, seed=seed, task="classification", keep_members=True)
    for name in (
        "mean",
        "variance",
        "standard_error",
        "entropy",
        "expected_entropy",
        "mutual_information",
        "members",
    ):
        value = getattr(got, name)
        assert not value.is_inference(), name
        assert not value.requires_grad
    temperature = torch.ones((), dtype=dtype, requires_grad=True)
    (got.mean.log() * temperature).sum().backward()
    assert temperature.grad is not None
    again = pickle.loads(pickle.dumps(got))
    assert torch.equal(again.mutual_information, got.mutual_information)
