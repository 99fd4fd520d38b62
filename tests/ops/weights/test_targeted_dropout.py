"""Laws of dropkit.ops.targeted_weight_dropout and targeted_unit_dropout."""

import numpy as np
import pytest
import torch

from dropkit.core import RateError, ShapeError
from dropkit.ops import targeted_unit_dropout, targeted_weight_dropout
from dropkit.random import stream
from tests.laws import assert_frequency, assert_independent


def weakest_weights(w, share):
    found = np.zeros(w.shape, dtype=bool)
    for unit, row in enumerate(w.flatten(1).numpy()):
        order = sorted(range(len(row)), key=lambda i, row=row: (abs(row[i]), i))
        found[unit].reshape(-1)[order[: round(share * len(row))]] = True
    return torch.from_numpy(found)


def weakest_units(w, share):
    norms = w.flatten(1).double().norm(dim=1).tolist()
    order = sorted(range(len(norms)), key=lambda i: (norms[i], i))[: round(share * len(norms))]
    found = torch.zeros(w.shape, dtype=torch.bool)
    found[order] = True
    return found


CASES = [(targeted_weight_dropout, weakest_weights), (targeted_unit_dropout, weakest_units)]
both = pytest.mark.parametrize(("op", "weakest"), CASES)


@both
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(10, 20), (10, 5, 2, 2)])
def test_rate_one_prunes_exactly_the_weakest(op, weakest, share, shape, rng):
    w = torch.randn(*shape, generator=rng)
    y = op(w, 1.0, share=share, training=True, generator=rng)
    assert torch.equal(y, torch.where(weakest(w, share), 0.0, w))


@both
def test_only_candidates_are_dropped_and_nothing_is_rescaled(op, weakest, rng):
    w = torch.randn(200, 40, generator=rng)
    y = op(w, 0.6, share=0.3, training=True, generator=rng)
    candidates = weakest(w, 0.3)
    assert torch.equal(y[~candidates], w[~candidates])
    dropped = y[candidates] == 0
    assert 0 < int(dropped.sum()) < dropped.numel()
    assert torch.equal(y[candidates][~dropped], w[candidates][~dropped])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_candidates_are_dropped_at_the_rate_and_independently(rate, rng):
    w = torch.randn(200, 500, generator=rng)
    first, second = (
        targeted_weight_dropout(w, rate, share=0.4, training=True, generator=rng) == 0 for _ in "ab"
    )
    candidates = weakest_weights(w, 0.4)
    assert_frequency(first[candidates], rate)
    assert_independent(first[candidates], second[candidates], rate)
    v = torch.randn(20_000, 3, generator=rng)
    gone = (targeted_unit_dropout(v, rate, training=True, generator=rng) == 0).all(1)
    assert_frequency(gone[weakest_units(v, 0.5)[:, 0]], rate)


def test_equal_magnitudes_are_taken_in_order():
    y = targeted_weight_dropout(torch.ones(1, 4), 1.0, share=0.5, training=True)
    assert torch.equal(y, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))


def test_a_share_of_three_tenths_of_ten_is_three():
    assert int((targeted_weight_dropout(torch.ones(1, 10), 1.0, share=0.3, training=True) == 0).sum()) == 3


@both
def test_the_mask_is_one_for_all_samples(op, weakest, seed, rng):
    w = torch.randn(12, 12, generator=rng)
    with stream(seed):
        y = op(w, 0.5, training=True, site="w")
    with stream(seed, sample=5):
        assert torch.equal(op(w, 0.5, training=True, site="w"), y)


@both
def test_bad_arguments_are_named(op, weakest):
    with pytest.raises(RateError, match=r"share must be in \[0, 1\], got 1.5"):
        op(torch.ones(2, 2), 0.5, share=1.5, training=False)
    with pytest.raises(ShapeError, match=r"weights of shape \(out, \*in\), got \(3,\)"):
        op(torch.ones(3), 0.5, training=False)


@both
def test_no_units_are_fine(op, weakest):
    assert op(torch.ones(0, 4), 0.5, training=True).shape == (0, 4)
