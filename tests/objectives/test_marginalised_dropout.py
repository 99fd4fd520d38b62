"""Laws of dropkit.objectives.marginalised_dropout and its module."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dropkit.core import DtypeError, ModuleError, OptionError, RateError, ShapeError
from dropkit.objectives import MarginalisedDropout, marginalised_dropout

LOSSES = {
    "quadratic": lambda y, t: (t - y) ** 2,
    "exponential": lambda y, t: torch.exp(-t * y),
    "logistic": lambda y, t: F.softplus(-t * y),
}


def problem(rng, n=5, d=6, k=2):
    x = torch.randn(n, d, generator=rng, dtype=torch.float64)
    weight = 0.5 * torch.randn(k, d, generator=rng, dtype=torch.float64)
    bias = torch.randn(k, generator=rng, dtype=torch.float64)
    sign = 2.0 * torch.randint(2, (n, k), generator=rng) - 1
    return x, weight, bias, sign.double()


def over_all_masks(x, rate, weight, bias, target, loss):
    """Return the expected loss by adding up all masks of the inputs."""
    total = 0.0
    for kept in itertools.product([False, True], repeat=x.shape[1]):
        chance = rate ** kept.count(False) * (1 - rate) ** kept.count(True)
        y = F.linear(x * torch.tensor(kept) / (1 - rate), weight, bias)
        total = total + chance * LOSSES[loss](y, target)
    return total


@pytest.mark.parametrize("rate", [0.2, 0.6])
@pytest.mark.parametrize("loss", ["quadratic", "exponential"])
@pytest.mark.parametrize("with_bias", [True, False])
def test_it_is_the_expectation_over_all_masks(loss, rate, with_bias, rng):
    x, weight, bias, target = problem(rng)
    bias = bias if with_bias else None
    got = marginalised_dropout(x, rate, weight, bias, target=target, loss=loss)
    expected = over_all_masks(x, rate, weight, bias, target, loss).sum(1).mean()
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    plain = LOSSES[loss](F.linear(x, weight, bias), target).sum(1).mean()
    assert got > plain + 1e-3  # both losses are convex: noise adds to them


@pytest.mark.parametrize("rate", [0.1, 0.6])
def test_the_logistic_loss_is_bounded_from_above_and_not_by_much(rate, rng):
    x, weight, bias, target = problem(rng)
    got = marginalised_dropout(x, rate, weight, bias, target=target, loss="logistic")
    exact = over_all_masks(x, rate, weight, bias, target, "logistic").sum(1).mean()
    exponential = over_all_masks(x, rate, weight, bias, target, "exponential")
    torch.testing.assert_close(got, exponential.log1p().sum(1).mean())
    assert got > exact


@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_the_quadratic_loss_is_least_at_the_ridge_solution(rate, rng):
    x = torch.randn(40, 4, generator=rng, dtype=torch.float64) * torch.tensor([0.5, 1.0, 2.0, 3.0])
    y = torch.randn(40, 1, generator=rng, dtype=torch.float64) + x[:, :1]
    gram = x.T @ x
    ridge = torch.linalg.solve(gram + rate / (1 - rate) * gram.diagonal().diag(), x.T @ y).T
    weight = ridge.clone().requires_grad_()
    marginalised_dropout(x, rate, weight, target=y).backward()
    torch.testing.assert_close(weight.grad, torch.zeros_like(weight), rtol=0, atol=1e-12)
    plain = torch.linalg.solve(gram, x.T @ y).T.clone().requires_grad_()
    marginalised_dropout(x, rate, plain, target=y).backward()
    assert plain.grad.abs().max() > 1e-3


@pytest.mark.parametrize("loss", LOSSES)
def test_at_rate_zero_and_in_eval_mode_it_is_the_plain_loss(loss, rng):
    x, weight, bias, target = problem(rng)
    plain = LOSSES[loss](F.linear(x, weight, bias), target).sum(1).mean()
    torch.testing.assert_close(marginalised_dropout(x, 0.0, weight, bias, target=target, loss=loss), plain)
    layer = nn.Linear(6, 2).double()
    module = MarginalisedDropout(0.5, layer, loss)
    assert f"rate=0.5, loss='{loss}'" in repr(module)
    expected = marginalised_dropout(x, 0.5, layer.weight, layer.bias, target=target, loss=loss)
    assert torch.equal(module(x, target), expected)
    plain = LOSSES[loss](layer(x), target).sum(1).mean()
    torch.testing.assert_close(module.eval()(x, target), plain)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients(loss, rng):
    x, weight, bias, target = problem(rng)
    leaves = [leaf.requires_grad_() for leaf in (x, weight, bias)]
    assert torch.autograd.gradcheck(
        lambda x, w, b: marginalised_dropout(x, 0.4, w, b, target=target, loss=loss), leaves
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_rates_by_input(loss, rng):
    x, weight, bias, target = problem(rng)
    rates = torch.tensor([0.0, 0.0, 0.0, 0.5, 0.5, 0.5], dtype=torch.float64)
    got = marginalised_dropout(x, rates, weight, bias, target=target, loss=loss)
    x[:, 3:] = 0
    # inputs of rate 0 pass whole, so only the others matter once these are zero
    zeroed = marginalised_dropout(x, rates, weight, bias, target=target, loss=loss)
    plain = LOSSES[loss](F.linear(x, weight, bias), target).sum(1).mean()
    torch.testing.assert_close(zeroed, plain)
    assert not torch.isclose(got, zeroed)


def test_what_it_cannot_take_is_named(rng):
    x, weight, bias, target = problem(rng)
    with pytest.raises(RateError, match=r"needs a rate in \[0, 1\), got 1.0"):
        marginalised_dropout(x, 1.0, weight, bias, target=target)
    with pytest.raises(ShapeError, match=r"needs a target of shape \(5, 2\), got \(5,\)"):
        marginalised_dropout(x, 0.5, weight, bias, target=target[:, 0])
    with pytest.raises(DtypeError, match=r"floating-point tensor, got torch\.int64"):
        marginalised_dropout(x.long(), 0.5, weight, bias, target=target)
    with pytest.raises(
        OptionError, match="loss must be 'quadratic', 'exponential' or 'logistic', got 'hinge'"
    ):
        marginalised_dropout(x, 0.5, weight, bias, target=target, loss="hinge")
    with pytest.raises(OptionError, match="got 'hinge'"):
        MarginalisedDropout(0.5, nn.Linear(6, 2), "hinge")
    with pytest.raises(ModuleError, match=r"MarginalisedDropout needs an nn\.Linear, got ReLU"):
        MarginalisedDropout(0.5, nn.ReLU())
