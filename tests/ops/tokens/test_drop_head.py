"""Laws of dropkit.ops.drop_head. See tests/README.md for the false-alarm budget."""

import pytest
import torch

from dropkit.core import OptionError, ShapeError
from dropkit.ops import drop_head
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("tail", [(), (3,), (5, 2)])
def test_kept_heads_are_rescaled_by_how_many_are_left(rate, tail, seed, rng):
    x = torch.randn(60, 4, *tail, generator=rng, dtype=torch.float64)
    with stream(seed):
        y = drop_head(x, rate, training=True, site="s")
    kept = mask((60, 4), rate, seed=seed, site="s")
    for sample in range(60):
        left = int(kept[sample].sum())
        for head in range(4):
            factor = 4 / left if kept[sample, head] else 0.0
            torch.testing.assert_close(y[sample, head], x[sample, head] * factor, rtol=1e-15, atol=0)


def test_by_hand(seed):
    x = torch.tensor([[3.0, 5.0, 7.0]]).expand(200, 3)
    with stream(seed):
        y = drop_head(x, 0.5, training=True, site="s")
    rows = {tuple(row) for row in y.tolist()}
    possible = {
        (0.0, 0.0, 0.0),
        (9.0, 0.0, 0.0),
        (0.0, 15.0, 0.0),
        (0.0, 0.0, 21.0),
        (4.5, 7.5, 0.0),
        (4.5, 0.0, 10.5),
        (0.0, 7.5, 10.5),
        (3.0, 5.0, 7.0),
    }
    assert rows == possible  # each has probability 1/8: one is missing with 8 (7/8)^200 < 1e-10


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_the_mean_is_as_said(rate, rng):
    n, heads = 200_000, 3
    y = drop_head(torch.ones(n, heads, dtype=torch.float64), rate, training=True, generator=rng)[:, 0]
    error = (y.mean() - (1 - rate**heads)).abs() / (y.std() / n**0.5)
    assert error < 5.0  # normal, two-sided: 6e-7


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drop_frequency_matches_rate_and_heads_are_independent(rate, rng):
    y = drop_head(torch.ones(30_000, 3), rate, training=True, generator=rng) == 0
    assert_frequency(y, rate)
    assert_independent(y[:, 0], y[:, 1], rate)
    assert_independent(y[1:], y[:-1], rate)


def test_heads_side_by_side_are_the_same_heads(seed, rng):
    x = torch.randn(6, 4, 5, 2, generator=rng)
    with stream(seed):
        expected = drop_head(x, 0.5, training=True, site="s")
    merged = x.transpose(1, 2).flatten(2)  # (N, L, H * D), as an output projection sees them
    with stream(seed):
        y = drop_head(merged, 0.5, training=True, heads=4, site="s")
    assert torch.equal(y, expected.transpose(1, 2).flatten(2))
    flat = x[:, :, 0].flatten(1)
    with stream(seed):
        y = drop_head(flat, 0.5, training=True, heads=4, site="s")
    assert torch.equal(y, expected[:, :, 0].flatten(1))


def test_rate_one_drops_all_heads_with_zero_gradient():
    x = torch.full((2, 3), float("inf"), requires_grad=True)
    y = drop_head(x, 1.0, training=True)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(2, 3))
    assert torch.equal(x.grad, torch.zeros(2, 3))
    rate = torch.ones(3)
    assert torch.equal(drop_head(x, rate, training=True), torch.zeros(2, 3))


def test_heads_may_have_rates_of_their_own(rng):
    y = drop_head(torch.ones(3000, 3), torch.tensor([0.0, 0.5, 1.0]), training=True, generator=rng)
    assert (y[:, 0] > 0).all()
    assert (y[:, 2] == 0).all()
    assert_frequency(y[:, 1] == 0, 0.5)


def test_an_empty_batch_of_merged_heads(seed):
    with stream(seed):
        assert drop_head(torch.ones(0, 3, 4), 0.5, training=True, heads=2).shape == (0, 3, 4)
        assert drop_head(torch.ones(0, 3, 4), torch.tensor([0.5, 0.1]), training=True, heads=2).shape == (
            0,
            3,
            4,
        )


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"drop_head needs shape \(N, H, \*\), got \(3,\)"):
        drop_head(torch.ones(3), 0.5, training=False)
    with pytest.raises(ShapeError, match=r"holds 4 equal heads, got shape \(2, 3, 6\)"):
        drop_head(torch.ones(2, 3, 6), 0.5, training=True, heads=4)
    for heads in (0, -1, True, 2.0):
        with pytest.raises(OptionError, match="heads must be a positive int or None, got"):
            drop_head(torch.ones(2, 4), 0.5, training=True, heads=heads)
