"""Laws of dropkit.ops.drop_path."""

import pytest
import torch

from dropkit.core import ShapeError
from dropkit.ops import drop_path
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_each_row_is_dropped_or_rescaled_exactly(rate, rng):
    x = torch.randn(512, 3, 4, generator=rng)
    y = drop_path(x, rate, training=True, generator=rng)
    dropped = (y == 0).flatten(1).all(1)
    assert 0 < dropped.sum() < 512  # neither branch of the law is vacuous
    assert torch.equal(y[~dropped], (x * (1 / (1 - rate)))[~dropped])
    assert not (y[~dropped] == 0).any()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drop_frequency_matches_rate(rate, rng):
    assert_frequency(drop_path(torch.ones(100_000, 1), rate, training=True, generator=rng) == 0, rate)


def test_rows_and_calls_are_independent(rng):
    x = torch.ones(50_000, 1)
    a, b = (drop_path(x, 0.3, training=True, generator=rng).squeeze() == 0 for _ in "ab")
    for u, v in [(a, b), (a[1:], a[:-1])]:
        assert_independent(u, v, 0.3)


def test_the_coins_are_those_of_a_mask_over_rows(seed):
    with stream(seed):
        y = drop_path(torch.ones(50, 3, 2), 0.4, training=True, site="a")
    assert torch.equal((y != 0).flatten(1).all(1), torch.from_numpy(mask(50, 0.4, seed=seed, site="a")))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_dropped_rows_are_zero_even_for_non_finite_input(value, rng):
    y = drop_path(torch.full((64, 1), value), 0.5, training=True, generator=rng)
    assert 0 < int((y == 0).sum()) < 64
    assert not y[y != 0].isfinite().any()


def test_input_without_batch_axis_is_refused():
    with pytest.raises(ShapeError, match="0-d"):
        drop_path(torch.tensor(1.0), 0.5, training=True)
