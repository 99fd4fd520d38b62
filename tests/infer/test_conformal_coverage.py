"""Split conformal sets around sampled networks: coverage over 200 splits of real digits."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import betabinom, binom
from sklearn.datasets import load_digits
from torch import nn

import dropkit as dk
from dropkit.infer import ConformalSets

SPLITS, CALIBRATION = 200, 199


@pytest.fixture
def answered(seed):
    """Probabilities of a poor network that is averaged over its members, and labels it was not trained on."""
    x, y = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
    x = x.float() / 16
    torch.manual_seed(seed)
    order = torch.randperm(len(y))
    train, rest = order[:300], order[300:]
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10)).train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[train]), y[train]).backward()
        optimizer.step()
    answer = dk.predict(model.eval(), x[rest], members=20, seed=seed, task="classification")
    p = answer.mean.double().numpy()
    return p / p.sum(axis=1, keepdims=True), y[rest].numpy()


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_coverage_over_splits_is_that_of_exchangeable_cases(level, answered, numbers):
    p, y = answered
    cases, rank = len(y) - CALIBRATION, math.ceil((CALIBRATION + 1) * level)
    covered = np.empty(SPLITS)
    for k in range(SPLITS):
        order = numbers.permutation(len(y))
        fitted, new = order[:CALIBRATION], order[CALIBRATION:]
        sets = ConformalSets(level).fit(p[fitted], y[fitted]).sets(p[new])
        covered[k] = sets[np.arange(cases), y[new]].sum()
    # Of a random split of untied scores, the number covered is beta-binomial, whatever the model; splits are
    # independent of each other, given the cases.
    law = betabinom(cases, rank, CALIBRATION + 1 - rank)
    sd = law.std() / math.sqrt(SPLITS)
    assert abs(covered.mean() - law.mean()) < 6 * sd
    for share in (0.05, 0.5, 0.95):
        at = law.ppf(share)
        low, high = binom.interval(1 - 1e-7, SPLITS, law.cdf(at))
        assert low <= (covered <= at).sum() <= high
