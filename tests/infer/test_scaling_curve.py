"""Averages of sampled networks against weight scaling."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dropkit as dk
from dropkit.core import ConfigError, DataError
from dropkit.random import child_seed


@pytest.fixture
def x(rng):
    return torch.randn(40, 4, generator=rng, dtype=torch.float64)


@pytest.fixture
def y(rng):
    return torch.randint(0, 3, (40,), generator=rng)


def net():
    return nn.Sequential(nn.Linear(4, 40), nn.Tanh(), nn.Dropout(0.4), nn.Linear(40, 3)).double()


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("metric", ["error", "nll"])
def test_groups_are_disjoint_and_cover_the_members(metric, share, x, y, seed):
    model = net()
    got = dk.infer.scaling_curve(
        model, x, y, seed=seed, ks=[4, 1, 6], repetitions=2, metric=metric, share_masks=share
    )
    errors = {1: [], 4: [], 6: []}
    for repetition in range(2):
        members = dk.predict(
            model, x, seed=child_seed(seed, f"repetition {repetition}"), members=6, task="classification",
            share_masks=share, keep_members=True,
        ).members  # fmt: skip
        for k in errors:
            for group in members[: 6 // k * k].split(k):
                mean = group.mean(0)
                wrong = (mean.argmax(-1) != y).double().mean()
                nll = -mean[range(40), y].log().mean()
                errors[k].append(wrong if metric == "error" else nll)
    assert got.ks == (1, 4, 6)
    assert got.groups == (12, 2, 2)
    for k, error, sd in zip(got.ks, got.error, got.sd, strict=True):
        values = torch.stack(errors[k])
        assert error == pytest.approx(float(values.mean()), rel=1e-9, abs=1e-12)
        assert sd == pytest.approx(float(values.std()), rel=1e-6, abs=1e-9)
    with torch.no_grad():
        p = copy.deepcopy(model).eval()(x).softmax(-1)
    expected = (p.argmax(-1) != y).double().mean() if metric == "error" else -p[range(40), y].log().mean()
    assert got.scaled == pytest.approx(float(expected), rel=1e-12)
    below = [k for k, error in zip(got.ks, got.error, strict=True) if error <= got.scaled]
    assert got.matching == (below[0] if below else None)


def test_averages_get_better_and_steadier(x, seed):
    # of a linear network, weight scaling is the mean of all members: what averages tend to
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)).double()
    with torch.no_grad():
        y = copy.deepcopy(model).eval()(x)
    got = dk.infer.scaling_curve(model, x, y, seed=seed, ks=(1, 100), repetitions=3, task="regression")
    assert got.metric == "rmse"
    assert got.scaled < 1e-12
    assert got.matching is None
    # an average of 100 networks has a tenth of the error of one
    assert got.error[0] / 20 < got.error[1] < got.error[0] / 5
    assert got.groups == (300, 3)
    assert got.sd[1] < got.sd[0]


def test_targets_may_be_arrays_or_lists(x, y, seed):
    options = {"seed": seed, "ks": (1, 2), "repetitions": 1}
    model = net()
    expected = dk.infer.scaling_curve(model, x, y, **options)
    for targets in (y.numpy(), y.tolist()):
        got = dk.infer.scaling_curve(model, x, targets, **options)
        assert (got.error, got.scaled) == (expected.error, expected.scaled)
    with pytest.raises(ConfigError, match="ks must be whole numbers of at least 1, got 3"):
        dk.infer.scaling_curve(model, x, y, seed=seed, ks=3)


def test_loaders_and_models_stay_as_they_are(x, y, seed):
    model = nn.Sequential(nn.BatchNorm1d(4), net()).double().train()
    before = copy.deepcopy(model.state_dict())
    whole = dk.infer.scaling_curve(model, x, y, seed=seed, ks=(1, 3), repetitions=1)
    loader = DataLoader(TensorDataset(x, y), batch_size=16)
    parts = dk.infer.scaling_curve(model, loader, y, seed=seed, ks=(1, 3), repetitions=1)
    assert parts.error == pytest.approx(whole.error)
    assert parts.scaled == whole.scaled
    assert math.isnan(whole.sd[1])
    assert model.training
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"ks": ()}, ConfigError, "ks must be"),
        ({"ks": (0, 2)}, ConfigError, "ks must be whole numbers of at least 1"),
        ({"ks": (1.5,)}, ConfigError, "ks must be"),
        ({"repetitions": 0}, ConfigError, "repetitions must be"),
        ({"metric": "rmse"}, ConfigError, "metric of a classification must be one of error, nll, got 'rmse'"),
        ({"task": None}, ConfigError, "task must be"),
        ({"members": 5}, ConfigError, "members cannot be given"),
        ({"y": torch.zeros(3, dtype=torch.int64)}, DataError, r"y must have shape \(40,\), got \(3,\)"),
        ({"y": torch.full((40,), 3)}, DataError, "whole numbers in 0 .. 2"),
        ({"task": "regression", "y": torch.zeros(40)}, DataError, r"y must have shape \(40, 3\)"),
    ],
)
def test_bad_arguments(options, error, text, x, y):
    given = {"y": y, "seed": 1, **options}
    with pytest.raises(error, match=text):
        dk.infer.scaling_curve(net(), x, **given)


def test_models_that_return_a_dict_are_refused(x, y):
    class Dict(nn.Module):
        def forward(self, x):
            return {"a": x}

    with pytest.raises(DataError, match="one floating-point tensor, got a dict"):
        dk.infer.scaling_curve(Dict(), x, y, seed=1)
