"""Observation noise: a number, fitted, or said by the model; against mixtures written out with SciPy."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from torch import nn
from torch.utils.data import DataLoader

import dropkit as dk
from dropkit.core import ConfigError, DataError
from dropkit.infer.mixture import MixtureLikelihood
from dropkit.infer.prediction import Moments
from dropkit.random import child_seed


class Heads(nn.Module):
    def __init__(self, kind="pair"):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 40), nn.Tanh(), nn.Dropout(0.3))
        self.mean, self.log, self.kind = nn.Linear(40, 2), nn.Linear(40, 2), kind

    def forward(self, x):
        h = self.body(x)
        if self.kind == "pair":
            return self.mean(h), self.log(h)
        return {"mean": self.mean(h), "log_variance": self.log(h)}


def net(out=2):
    return nn.Sequential(nn.Linear(4, 40), nn.Tanh(), nn.Dropout(0.3), nn.Linear(40, out)).double()


@pytest.fixture
def x(rng):
    return torch.randn(6, 4, generator=rng, dtype=torch.float64)


@pytest.fixture
def y(rng):
    return torch.randn(6, 2, generator=rng, dtype=torch.float64)


def given(members):
    moments = Moments("regression", True)
    moments.add(members)
    return moments.prediction("loop", members.dtype)


def mixture(members, variance, target):
    """Return the log density by SciPy, sample by sample."""
    found = []
    for n in range(target.shape[0]):
        parts = stats.norm(members[:, n], np.sqrt(variance[:, n])).pdf(target[n])
        found.append(math.log(parts.prod(-1).mean()))
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["pair", "dict"])
def test_a_model_that_says_its_noise(kind, x, y, seed):
    model = Heads(kind).double()
    drawn = dk.predict(model, x, members=7, seed=seed, task="regression", keep_members=True)
    assert set(drawn) == {"mean", "log_variance"}
    got = dk.infer.with_noise(drawn)
    members, variance = drawn["mean"].members, drawn["log_variance"].members.exp()
    torch.testing.assert_close(got.log_likelihood(y), mixture(members.numpy(), variance.numpy(), y.numpy()))
    torch.testing.assert_close(
        got.log_likelihood(y), drawn["mean"].log_likelihood(y, noise=variance), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(got.aleatoric, variance.mean(0))
    torch.testing.assert_close(got.epistemic, members.var(0))
    torch.testing.assert_close(got.variance, members.var(0) + variance.mean(0))
    assert torch.equal(got.mean, drawn["mean"].mean)


def test_a_number(x, y, seed):
    drawn = dk.predict(net(), x, members=7, seed=seed, task="regression", keep_members=True)
    for noise in (0.2, torch.tensor([0.2, 0.7]), torch.full((6, 2), 0.3), torch.rand(7, 1, 1).double() + 0.1):
        got = dk.infer.with_noise(drawn, noise)
        variance = torch.as_tensor(noise, dtype=torch.float64).expand(7, 6, 2)
        expected = mixture(drawn.members.numpy(), variance.numpy(), y.numpy())
        torch.testing.assert_close(got.log_likelihood(y), expected)
        torch.testing.assert_close(drawn.log_likelihood(y, noise=noise), expected)
        torch.testing.assert_close(got.variance, drawn.members.var(0) + variance.mean(0))


def test_far_from_every_member_the_likelihood_is_finite(x):
    drawn = given(torch.zeros(3, 6, 2, dtype=torch.float64))
    got = drawn.log_likelihood(torch.full((6, 2), 1e6, dtype=torch.float64), noise=1e-3)
    torch.testing.assert_close(got, torch.full((6,), -1e12 / 1e-3, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_noise_may_be_smaller_than_the_dtype_holds(dtype):
    drawn = given(torch.zeros(2, 3, 1, dtype=dtype))
    got = dk.infer.with_noise(drawn, 1e-60)
    expected = torch.full((3,), 0.5 * math.log(1e60 / (2 * math.pi)), dtype=torch.float64)
    torch.testing.assert_close(got.log_likelihood(torch.zeros(3, 1)), expected.float())
    assert drawn.log_likelihood(torch.ones(3, 1), noise=1e-9).isfinite().all()  # about -1e9
    assert got.variance.dtype == drawn.variance.dtype
    said = dk.infer.with_noise(
        {"mean": drawn, "log_variance": given(torch.full((2, 3, 1), -140.0, dtype=dtype))}
    )
    assert said.noise[0, 0, 0] == math.exp(-140.0)


@pytest.mark.parametrize("q", [0.025, 0.5, 0.9])
def test_quantiles_of_observations(q, x, seed):
    drawn = dk.predict(Heads().double(), x, members=5, seed=seed, task="regression", keep_members=True)
    got = dk.infer.with_noise(drawn)
    at = got.quantile(q)
    below = stats.norm(got.members.numpy(), got.noise.sqrt().numpy()).cdf(at.numpy()).mean(0)
    np.testing.assert_allclose(below, q, rtol=1e-9)
    assert torch.equal(got.quantile([q, 0.3])[0], at)
    one = dk.infer.with_noise(given(drawn["mean"].members[:1]), 4.0)
    expected = stats.norm(one.mean.numpy(), 2.0).ppf(q)
    np.testing.assert_allclose(one.quantile(q).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_fitted_noise_of_one_member_is_the_mean_square(x, y):
    member = torch.zeros(1, 6, 2, dtype=torch.float64)
    torch.testing.assert_close(dk.infer.fit_noise(given(member), y), y.square().mean(), rtol=1e-6, atol=0)
    each = dk.infer.fit_noise(given(member), y, per_output=True)
    torch.testing.assert_close(each, y.square().mean(0), rtol=1e-4, atol=0)


def test_fitted_noise_maximises_the_likelihood(x, y, seed):
    drawn = dk.predict(net(), x, members=9, seed=seed, task="regression", keep_members=True)
    got = dk.infer.fit_noise(drawn, y)

    def loss(log_noise):
        return -float(drawn.log_likelihood(y, noise=math.exp(float(np.squeeze(log_noise)))).mean())

    # not by the same search: a fine grid over all that is plausible
    grid = np.linspace(-12, 6, 4000)
    best = min(map(loss, grid))
    assert loss(math.log(float(got))) <= best + 1e-9
    step = optimize.approx_fprime(math.log(float(got)), loss, 1e-6)
    assert abs(step[0]) < 1e-4
    each = dk.infer.fit_noise(drawn, y, per_output=True)
    assert each.shape == (2,)
    assert drawn.log_likelihood(y, noise=each).mean() >= drawn.log_likelihood(y, noise=got).mean() - 1e-9


def test_each_output_may_have_a_unit_of_its_own(seed):
    numbers = np.random.default_rng(seed)
    target = numbers.normal(size=(60, 2))
    members = target + 0.5 * numbers.normal(size=(60, 2)) + 0.2 * numbers.normal(size=(20, 60, 2))
    units = np.array([1e5, 1e-4])
    here = dk.infer.fit_noise(given(torch.tensor(members)), torch.tensor(target), per_output=True)
    there = dk.infer.fit_noise(
        given(torch.tensor(members * units)), torch.tensor(target * units), per_output=True
    )
    torch.testing.assert_close(there, here * torch.tensor(units) ** 2, rtol=1e-3, atol=0)


def test_noise_that_made_the_data_is_found(seed):
    numbers = np.random.default_rng(seed)
    members = torch.tensor(numbers.normal(size=(3, 4000, 1)) * 0.05)
    y = torch.tensor(numbers.normal(size=(4000, 1)) * 0.5)
    got = float(dk.infer.fit_noise(given(members), y))
    # the mean of 4000 squares is within 5.1 standard errors, sqrt(2 / 4000), and members add at most 0.05^2
    assert abs(math.log(got / 0.25)) < 5.1 * math.sqrt(2 / 4000) + 0.03


@pytest.mark.parametrize("block", [1, 4, 10, 100])
def test_likelihood_in_blocks(block, x, y, seed):
    model = Heads().double()
    got = dk.infer.log_likelihood(model, x, target=y, seed=seed, members=10, block=block)
    members, variance = [], []
    for index, first in enumerate(range(0, 10, block)):
        part = dk.predict(
            model, x, members=min(block, 10 - first), seed=child_seed(seed, f"block {index}"), task="regression",
            keep_members=True,
        )  # fmt: skip
        members.append(part["mean"].members)
        variance.append(part["log_variance"].members.exp())
    expected = mixture(torch.cat(members).numpy(), torch.cat(variance).numpy(), y.numpy())
    torch.testing.assert_close(got, expected)
    fixed = dk.infer.log_likelihood(net(), x, target=y, seed=seed, members=6, block=block, noise=0.5)
    assert fixed.shape == (6,)
    assert fixed.isfinite().all()


def test_loaders(x, y, seed):
    model = Heads().double()
    whole = dk.infer.log_likelihood(model, x, target=y, seed=seed, members=5)
    parts = dk.infer.log_likelihood(model, DataLoader(x, batch_size=4), target=y, seed=seed, members=5)
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-12)


def test_a_pair_without_a_regression_is_refused(x, seed):
    with pytest.raises(DataError, match="must return a tensor or a dict of tensors, got a tuple"):
        dk.predict(Heads().double(), x, seed=seed)


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda p, h, y: dk.infer.with_noise(p), "the model says nothing of its noise; give noise="),
        (lambda p, h, y: dk.infer.with_noise(h, 0.1), "noise is given twice"),
        (lambda p, h, y: dk.infer.with_noise({"mean": p}), "returns 'mean' and 'log_variance', got 'mean'"),
        (
            lambda p, h, y: dk.infer.with_noise(p, 0.0),
            "noise must be a variance above 0, and finite, got 0.0",
        ),
        (
            lambda p, h, y: dk.infer.with_noise(p, torch.tensor([0.1, -1.0])),
            "noise must be a variance above 0",
        ),
        (
            lambda p, h, y: dk.infer.with_noise(p, math.inf),
            "noise must be a variance above 0, and finite, got inf",
        ),
        (lambda p, h, y: dk.infer.with_noise(p, "much"), "noise must be a variance above 0, got a str"),
        (lambda p, h, y: dk.infer.fit_noise(h, y), "fit_noise takes one Prediction, got a dict"),
        (
            lambda p, h, y: dk.infer.with_noise(replace(p, task="classification"), 1.0),
            "observation noise is of a regression",
        ),
        (
            lambda p, h, y: dk.infer.with_noise(p, torch.ones(5)),
            r"must broadcast to .* \(4, 6, 2\), got \(5,\)",
        ),
        (lambda p, h, y: dk.infer.with_noise(p, 1.0).log_likelihood(y[:3]), r"shape \(6, 2\), got \(3, 2\)"),
        (
            lambda p, h, y: dk.infer.with_noise(p, 1.0).quantile(1.0),
            "q must be above 0 and below 1, .* got 1.0",
        ),
        (lambda p, h, y: dk.infer.fit_noise(p, y[:, :1]), r"target must have shape \(6, 2\), got \(6, 1\)"),
        (lambda p, h, y: dk.infer.fit_noise(p, y * math.nan), "all of them finite"),
        (
            lambda p, h, y: dk.infer.fit_noise(replace(p, _members=p.members[..., :1]), y[:, 0]),
            r"got \(6,\); give target\[:, None\]",
        ),
        (lambda p, h, y: dk.infer.fit_noise(p, p.members[0]), "members predict all targets exactly"),
        (lambda p, h, y: dk.infer.log_likelihood(net(), y, target=y, seed=1, members=0), "members must be"),
        (lambda p, h, y: dk.infer.log_likelihood(net(), y, target=y, seed=1, block=0), "block must be"),
    ],
)
def test_bad_input(act, text, x, y, seed):
    drawn = dk.predict(net(), x, members=4, seed=seed, task="regression", keep_members=True)
    heads = dk.predict(Heads().double(), x, members=4, seed=seed, task="regression", keep_members=True)
    with pytest.raises((ConfigError, DataError), match=text):
        act(drawn, heads, y)


def test_members_must_be_kept(x, seed):
    drawn = dk.predict(net(), x, members=4, seed=seed, task="regression")
    with pytest.raises(ConfigError, match="keep_members=True"):
        dk.infer.with_noise(drawn, 0.1)
    with pytest.raises(DataError, match="there are no members yet"):
        _ = MixtureLikelihood(torch.zeros(3)).value
