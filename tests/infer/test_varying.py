"""Members that do not differ, or only as far as rounding makes them."""

import copy

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import DataError, NoMatchError
from dropkit.infer.prediction import Moments
from dropkit.infer.varying import check_varies


class Unused(nn.Module):
    """What is dropped does not reach the output, or a tiny part of it does."""

    def __init__(self, part):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(64, 64), nn.Dropout(0.5), nn.Linear(64, 3)
        self.part = part

    def forward(self, x):
        h = self.first(x)
        dropped = self.drop(h)
        return self.last(h) + self.part * dropped[:, :3] if self.part else self.last(h)


def predictions(members, dtype=torch.float32, task=None):
    moments = Moments(task, keep=False)
    moments.add(members.to(dtype))
    return [moments.prediction("expand", dtype)]


@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 3, 17])
def test_a_site_that_reaches_nothing_is_refused_in_every_mode(mode, dtype, rows, rng, seed):
    x = torch.randn(rows, 64, generator=rng).to(dtype)
    with pytest.raises(NoMatchError, match="all members are equal, though sites were active: 'drop'"):
        dk.predict(Unused(0.0).to(dtype), x, members=30, seed=seed, mode=mode)


@pytest.mark.parametrize("mode", ["vmap", "expand", "loop"])
def test_a_site_that_reaches_little_is_not(mode, rng, seed):
    x = torch.randn(9, 64, generator=rng)
    assert (dk.predict(Unused(1e-6), x, members=30, seed=seed, mode=mode).variance > 0).any()


@pytest.mark.parametrize("gap", [300.0, 60.0])  # probabilities of 0 in single precision, and of about 1e-26
def test_a_sample_beyond_doubt_is_no_error_and_one_with_doubt_is(gap, rng, seed):
    network = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3))
    with torch.no_grad():
        network[2].weight.mul_(0.01)
        network[2].bias.copy_(torch.tensor([gap, 0.0, -gap]))
    x = torch.randn(1, 4, generator=rng)
    found = dk.predict(network, x, members=5, seed=seed, task="classification")
    assert found.mean[0, 0] == 1.0
    assert found.entropy < 1e-20
    assert (found.variance == 0).all()
    assert (dk.predict(network, x, members=300, seed=seed).variance > 0).any()
    other = copy.deepcopy(network)
    with torch.no_grad():
        other[2].bias[1] += 1.0
    assert dk.ensemble([network, other]).predict(x, task="classification").n_members == 2
    with pytest.raises(NoMatchError, match="all members are equal"):
        dk.predict(
            Unused(0.0), torch.randn(1, 64, generator=rng), members=5, seed=seed, task="classification"
        )


def test_small_differences_in_half_precision_are_no_zeros(rng, seed):
    network = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    with torch.no_grad():
        network[2].weight.mul_(1e-4)
        network[2].bias.zero_()
    got = dk.predict(network.half(), torch.randn(5, 8, generator=rng).half(), members=30, seed=seed)
    assert (got.variance > 0).all()


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_variances_that_no_float_holds_have_errors(scale, rng, seed):
    network = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    x = torch.randn(5, 8, generator=rng)
    expected = dk.predict(network, x, members=30, seed=seed).standard_error * scale
    with torch.no_grad():
        network[2].weight.mul_(scale)
        network[2].bias.mul_(scale)
    got = dk.predict(network, x, members=30, seed=seed)
    torch.testing.assert_close(got.standard_error, expected, rtol=1e-3, atol=0.0)


def test_rounding_is_told_from_masks_by_members_that_run_by_themselves():
    noise = torch.tensor([[1.0, 2.0], [1.0 + 2**-22, 2.0]])
    found, calls = predictions(noise), []

    def member(index, values):
        calls.append(index)
        return {"output": values[index % 2]}

    check_varies(found, lambda index: member(index, noise), ["drop"])
    assert calls == [0, 1]
    with pytest.raises(NoMatchError, match="'drop'"):
        check_varies(found, lambda index: member(0, noise), ["drop"])
    check_varies(
        predictions(noise * torch.tensor([[1.0], [2.0]])), lambda index: pytest.fail("ran"), ["drop"]
    )
    coarse = torch.tensor([[1.0, 2.0], [1.0 + 2**-7, 2.0]])
    with pytest.raises(NoMatchError, match="'drop'"):
        check_varies(predictions(coarse, torch.bfloat16), lambda index: member(0, coarse), ["drop"])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("task", [None, "classification"])
def test_inputs_that_are_not_finite_are_named(bad, task, rng, seed):
    network = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    with pytest.raises(DataError, match="NaN or infinite for all samples"):
        dk.predict(network, torch.full((5, 4), bad), members=6, seed=seed, task=task)
    x = torch.randn(5, 4, generator=rng)
    x[2, 1] = bad
    got = dk.predict(network, x, members=6, seed=seed, task=task)
    assert got.mean[2].isfinite().sum() == 0
    assert got.mean[[0, 1, 3, 4]].isfinite().all()
    still = Unused(0.0)
    x = torch.randn(5, 64, generator=rng)
    x[2, 1] = bad
    with pytest.raises(NoMatchError, match="all members are equal"):
        dk.predict(still, x, members=6, seed=seed)
