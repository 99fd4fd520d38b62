"""Losses over the outputs of two passes: by hand, by enumeration, and their gradients."""

import itertools
import math

import pytest
import torch

import dropkit as dk
from dropkit.core import DtypeError, OptionError, ShapeError
from dropkit.objectives import expectation_linear, fraternal_dropout, r_drop, simcse_pairs

LOSSES = [r_drop, fraternal_dropout, simcse_pairs, expectation_linear]
every = pytest.mark.parametrize("loss", LOSSES)


def pair(rng, n=5, c=4):
    return (torch.randn(n, c, generator=rng, dtype=torch.float64) for _ in "ab")


def test_r_drop_by_hand():
    p, q = (0.5, 0.25, 0.25), (0.25, 0.25, 0.5)
    forward = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    backward = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    x, other = (torch.tensor([row], dtype=torch.float64).log() + 3.0 for row in (p, q))
    assert r_drop(x, other).item() == pytest.approx((forward + backward) / 2)
    assert dk.objectives.RDrop(5.0)(x, other).item() == pytest.approx(5 * (forward + backward) / 2)


def test_r_drop_is_torchs_divergence_both_ways(rng):
    x, other = pair(rng)
    p, q = x.log_softmax(1), other.log_softmax(1)
    ways = [
        torch.nn.functional.kl_div(a, b, log_target=True, reduction="batchmean") for a, b in ((p, q), (q, p))
    ]
    torch.testing.assert_close(r_drop(x, other), sum(ways) / 2)


def test_r_drop_may_have_its_classes_in_the_middle(rng):
    x, other = (torch.randn(2, 3, 4, 5, generator=rng) for _ in "ab")
    moved = [v.movedim(1, -1).flatten(0, 2) for v in (x, other)]
    torch.testing.assert_close(r_drop(x, other, dim=1), r_drop(*moved))


def test_fraternal_dropout_by_hand():
    x, other = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    assert fraternal_dropout(x, other) == (4.0 + 9.0) / 4
    assert dk.objectives.FraternalDropout(0.5)(x, other) == (4.0 + 9.0) / 8


def test_expectation_linear_by_hand():
    x, mean = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    assert expectation_linear(x, mean) == (4.0 + 9.0) / 2
    assert dk.objectives.ExpectationLinear(3.0)(x, mean) == 3 * (4.0 + 9.0) / 2


def test_fraternal_is_twice_expectation_linear_an_output_over_all_masks_of_a_linear_model(rng):
    rate, weight, x = (
        0.3,
        torch.randn(4, 3, generator=rng).double(),
        torch.randn(1, 3, generator=rng).double(),
    )
    masks = list(itertools.product([0.0, 1.0], repeat=3))
    chance = [math.prod(1 - rate if kept else rate for kept in mask) for mask in masks]
    outputs = [(x * torch.tensor(mask) / (1 - rate)).double() @ weight.T for mask in masks]
    gap = sum(p * expectation_linear(a, x @ weight.T) for p, a in zip(chance, outputs, strict=True))
    between = sum(
        p * q * fraternal_dropout(a, b)
        for p, a in zip(chance, outputs, strict=True)
        for q, b in zip(chance, outputs, strict=True)
    )
    torch.testing.assert_close(between * 4, 2 * gap)
    variance = (weight**2 @ x[0] ** 2) * rate / (1 - rate)
    torch.testing.assert_close(gap, variance.sum())


def test_simcse_by_a_loop(rng):
    x, other = pair(rng)
    total = 0.0
    for i in range(5):
        similar = [float(torch.cosine_similarity(x[i], other[j], dim=0)) / 0.1 for j in range(5)]
        total -= math.log(math.exp(similar[i]) / sum(math.exp(s) for s in similar))
    assert simcse_pairs(x, other, temperature=0.1).item() == pytest.approx(total / 5)
    module = dk.objectives.SimCSEPairs(0.1, 2.0)
    assert module(x, other).item() == pytest.approx(2 * total / 5)


def test_simcse_of_equal_embeddings_is_a_guess():
    x = torch.ones(7, 3, dtype=torch.float64)
    assert simcse_pairs(x, 5 * x).item() == pytest.approx(math.log(7))
    assert simcse_pairs(torch.eye(7), torch.eye(7)) < 1e-6


@pytest.mark.parametrize("loss", [r_drop, fraternal_dropout, expectation_linear])
def test_equal_passes_cost_nothing_and_others_something(loss, rng):
    x, other = pair(rng)
    assert loss(x, x.clone()) == 0
    assert loss(x, other) > 0
    torch.testing.assert_close(loss(x, other), loss(other, x))


@every
def test_gradients_reach_both_passes(loss, rng):
    x, other = (v.requires_grad_() for v in pair(rng))
    assert torch.autograd.gradcheck(loss, (x, other))
    loss(x, other).backward()
    assert x.grad.abs().sum() > 0
    assert other.grad.abs().sum() > 0


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(loss, dtype, rng):
    x, other = (v.to(dtype) for v in pair(rng))
    assert torch.equal(loss(x, other), loss(x.float(), other.float()).to(dtype))


@every
def test_bad_outputs_are_named(loss):
    with pytest.raises(ShapeError, match=r"two outputs of one shape .*got \(2, 3\) and \(2, 4\)"):
        loss(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(ShapeError, match="at least one sample"):
        loss(torch.ones(0, 3), torch.ones(0, 3))
    with pytest.raises(DtypeError, match=r"floating-point outputs, got torch.int64"):
        loss(torch.ones(2, 3).long(), torch.ones(2, 3).long())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: dk.objectives.RDrop(-1.0), "alpha must be a finite number of at least 0, got -1.0"),
        (lambda: dk.objectives.FraternalDropout(float("inf")), "kappa must be"),
        (lambda: dk.objectives.ExpectationLinear("1"), "weight must be"),
        (lambda: dk.objectives.SimCSEPairs(0.0), "temperature must be a finite number above 0, got 0.0"),
        (lambda: dk.objectives.SimCSEPairs(0.1, True), "weight must be"),
        (lambda: simcse_pairs(torch.ones(1, 2), torch.ones(1, 2), temperature=-1), "temperature must be"),
    ],
)
def test_bad_coefficients_are_named(make, text):
    with pytest.raises(OptionError, match=text):
        make()


def test_modules_print_their_numbers():
    shown = [repr(module) for module in (dk.objectives.RDrop(5), dk.objectives.FraternalDropout(0.2))]
    assert shown == ["RDrop(alpha=5)", "FraternalDropout(kappa=0.2)"]
    shown = [repr(module) for module in (dk.objectives.SimCSEPairs(), dk.objectives.ExpectationLinear(2))]
    assert shown == ["SimCSEPairs(temperature=0.05, weight=1)", "ExpectationLinear(weight=2)"]
