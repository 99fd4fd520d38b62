"""What dropout of the inputs does to linear and logistic regression, known in closed form."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from dropkit.ops import dropout
from tests.laws import FALSE_ALARM

Z = stats.norm.isf(FALSE_ALARM / 2)


def regression(rng, n=60, d=4):
    x = torch.randn(n, d, generator=rng, dtype=torch.float64) * torch.tensor([0.5, 1.0, 1.5, 2.0])
    y = x @ torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    return x, y + torch.randn(n, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("rate", [0.2, 0.5])
@pytest.mark.parametrize("scaling", ["train", "test"])
def test_linear_regression_with_dropped_inputs_is_ridge_regression(rate, scaling, rng):
    # Srivastava et al. 2014, sec. 9.1: after scaling the weights by the share kept, the penalty is
    # rate / (1 - rate) * sum_j (X'X)_jj w_j^2. The least squares over all masks is estimated over many.
    x, y = regression(rng)
    masks = 20_000
    gram = x.T @ x
    ridge = torch.linalg.solve(gram + rate / (1 - rate) * gram.diagonal().diag(), x.T @ y)

    dropped = dropout(x.expand(masks, *x.shape), rate, training=True, scaling=scaling, generator=rng)
    grams = dropped.transpose(1, 2) @ dropped
    products = dropped.transpose(1, 2) @ y
    found = torch.linalg.solve(grams.mean(0), products.mean(0))
    weights = found if scaling == "train" else found * (1 - rate)

    # the error of a least squares over a sample of masks, by the delta method
    scores = products - (grams @ found.unsqueeze(1)).squeeze(2)
    cover = torch.linalg.solve(grams.mean(0), torch.linalg.solve(grams.mean(0), scores.T.cov() / masks).T)
    error = cover.diagonal().sqrt() * (1.0 if scaling == "train" else 1 - rate)
    assert ((weights - ridge).abs() < Z * error).all()

    plain = torch.linalg.solve(gram, x.T @ y)
    assert ((weights - plain).abs() > 3 * Z * error).any()  # it is not what no dropout gives


@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_logistic_regression_with_dropped_inputs_has_wagers_quadratic_penalty(rate, rng):
    # Wager, Wang and Liang 2013, eq. 6: to second order in the noise of the scores, dropout adds
    # rate / (1 - rate) / 2 * sum_i p_i (1 - p_i) sum_j x_ij^2 w_j^2 to the loss.
    x = 2 * torch.arange(100, dtype=torch.float64).sin().view(20, 5)
    w = 0.01 * torch.tensor([1.0, -2.0, 1.5, -1.0, 0.5], dtype=torch.float64)
    y = (torch.arange(20) % 3 == 0).double()
    n = 100_000
    scores = dropout(x.expand(n, 20, 5), rate, training=True, generator=rng) @ w
    score = x @ w
    p = score.sigmoid()

    def loss(score):
        return F.binary_cross_entropy_with_logits(score, y.expand_as(score), reduction="none").sum(-1)

    added = loss(scores) - loss(score) - (scores - score) @ (p - y)  # less its first-order part, of mean zero
    penalty = rate / (1 - rate) / 2 * (p * (1 - p) * ((x * w) ** 2).sum(1)).sum()
    third = (scores - score).abs().amax() / 3  # bounds what the next orders can add, relative to the second
    assert abs(added.mean() - penalty) < Z * added.std() / np.sqrt(n) + third * penalty
    assert third < 0.1
