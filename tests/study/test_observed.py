"""The likelihood of a regression's targets, against the formula in NumPy."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

import dropkit as dk
from dropkit.core import DataError
from dropkit.study import central_levels, log_likelihood, reopen, sample
from dropkit.study.sampled import Sampled
from tests.study.small import study


def said(drawn, target):
    return Sampled(drawn.mean(0), drawn.mean(0), drawn.var(0), len(drawn), "loop", None, None, target, drawn)


def told(numbers, units):
    """Two sets of 40 targets, each with 100 members that err together more than apart."""
    target, common = units * numbers.normal(size=(2, 2, 40, len(units)))
    apart = 0.3 * units * numbers.normal(size=(2, 100, 40, len(units)))
    return target, (target + common)[:, None] + apart


def by_hand(drawn, target, variance):
    each = norm.logpdf(target, drawn, np.sqrt(variance)).sum(-1)
    return (logsumexp(each, axis=0) - math.log(len(drawn))).mean()


def likeliest(drawn, target, units):
    found = minimize(
        lambda v: -by_hand(drawn, target, np.exp(v)),
        2 * np.log(units),
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-12, "maxiter": 2000},
    )
    return np.exp(found.x)


@pytest.fixture
def numbers(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("width", [1, 2])
def test_it_is_the_mixture_with_the_likeliest_noise(numbers, width):
    units = np.array([50.0, 0.01])[:width]
    target, drawn = told(numbers, units)
    fitted, found = said(drawn[0], target[0]), said(drawn[1], target[1])
    for which, members in (("mean", drawn), ("plain", drawn.mean(1, keepdims=True))):
        want = by_hand(members[1], target[1], likeliest(members[0], target[0], units))
        assert log_likelihood(fitted, found, which) == pytest.approx(want, abs=1e-3)
    alone = np.square(drawn[0].mean(0) - target[0]).mean(0)  # of a single member: the mean squared residual
    want = by_hand(drawn[1].mean(0)[None], target[1], alone)
    assert log_likelihood(fitted, found, "plain") == pytest.approx(want, abs=1e-5)


def test_another_unit_shifts_it(numbers):
    target, drawn = told(numbers, np.ones(2))
    for which in ("mean", "plain"):
        here = log_likelihood(said(drawn[0], target[0]), said(drawn[1], target[1]), which)
        there = log_likelihood(
            said(1000 * drawn[0] + 7, 1000 * target[0] + 7),
            said(1000 * drawn[1] + 7, 1000 * target[1] + 7),
            which,
        )
        assert there == pytest.approx(here - 2 * math.log(1000), abs=1e-4)


@pytest.mark.parametrize("width", [1, 2])
def test_central_levels_are_of_the_mixtures_distribution(numbers, width):
    units = np.array([50.0, 0.01])[:width]
    target, drawn = told(numbers, units)
    fitted, found = said(drawn[0], target[0]), said(drawn[1], target[1])
    for which, members in (("mean", drawn), ("plain", drawn.mean(1, keepdims=True))):
        noise = likeliest(members[0], target[0], units)
        want = np.abs(2 * norm.cdf(target[1], members[1], np.sqrt(noise)).mean(0) - 1)
        np.testing.assert_allclose(central_levels(fitted, found, which), want, atol=1e-3)


def test_what_it_cannot_tell(numbers):
    target = numbers.normal(size=(30, 2))
    drawn = target + numbers.normal(size=(5, 30, 2))
    whole = said(drawn, target)
    bare = dataclasses.replace(whole, target=None)
    for fitted, found in ((bare, whole), (whole, bare)):
        with pytest.raises(DataError, match="needs targets"):
            log_likelihood(fitted, found, "mean")
    with pytest.raises(DataError, match="keep_members=True"):
        log_likelihood(whole, dataclasses.replace(whole, drawn=None), "mean")
    drawn[:, :, 1] = target[:, 1]
    assert math.isnan(log_likelihood(said(drawn, target), whole, "mean"))
    assert central_levels(said(drawn, target), whole, "mean").shape == (0, 2)


def test_of_a_run(tmp_path):
    tables = study(metric="rmse", data={"name": "tests.study.factories:line"})
    tables["model"] = {"name": "mlp", "widths": [8]}
    dk.run_study(tables, out=tmp_path / "study", workers=2)
    with reopen(tmp_path / "study", "hidden", 0) as run:
        plain = sample(run, run.data.test, members=3)
        fitted, found = (sample(run, p, members=20, keep_members=True) for p in (run.data.val, run.data.test))
        target = torch.stack([y for _, y in run.data.test]).double().numpy()
    assert plain.drawn is None
    np.testing.assert_allclose(found.drawn.mean(0), found.mean, rtol=1e-5, atol=1e-6)
    assert -20 < log_likelihood(fitted, found, "mean") < 0
    exact = target * run.data.target_std + run.data.target_mean
    np.testing.assert_allclose(found.target, exact, rtol=1e-6, atol=1e-6)
    assert (found.target == np.round(found.target, 7)).all()  # no digits that fp32 does not hold
