"""Laws of dropkit.ops.cutout."""

import pytest
import torch

from dropkit.core import OptionError, ShapeError
from dropkit.ops import cutout
from dropkit.random import stream
from tests.laws import assert_frequency


@pytest.mark.parametrize("size", [1, 4, 5])
def test_each_cut_sample_loses_one_square_clipped_by_the_border(size, rng):
    height, width = 7, 9
    x = torch.rand(3000, 3, height, width, generator=rng) + 1
    y = cutout(x, 0.6, size=size, training=True, generator=rng)
    dropped = y == 0
    assert torch.equal(y[~dropped], x[~dropped])
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    squares = set()
    for row in range(height):
        for column in range(width):
            square = torch.zeros(height, width, dtype=torch.bool)
            top, left = row - size // 2, column - size // 2
            square[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = True
            squares.add(tuple(square.flatten().tolist()))
    cut = dropped[:, 0].flatten(1)
    seen = {tuple(row.tolist()) for row in cut[cut.any(1)].unique(dim=0)}
    assert seen <= squares
    assert len(seen) > len(squares) / 2


@pytest.mark.parametrize("rate", [0.2, 0.9])
def test_frequency_of_samples_and_of_elements(rate, rng):
    y = cutout(torch.ones(50_000, 1, 6, 8), rate, size=3, training=True, generator=rng)
    dropped = y[:, 0] == 0
    assert_frequency(dropped.flatten(1).any(1), rate)
    for row, column, centres in [(0, 0, 4), (0, 4, 6), (3, 3, 9), (5, 7, 4)]:
        assert_frequency(dropped[:, row, column], rate * centres / 48)


def test_rate_one_cuts_every_sample(seed):
    with stream(seed):
        y = cutout(torch.ones(500, 1, 8, 8), 1.0, size=2, training=True)
    assert ((y == 0).flatten(1).sum(1) > 0).all()
    assert (y != 0).flatten(1).any(1).all()


def test_another_rank_and_a_size_that_is_none_are_refused():
    with pytest.raises(ShapeError, match=r"cutout needs shape \(N, C, H, W\), got \(3, 8, 8\)"):
        cutout(torch.ones(3, 8, 8), 0.5, training=True)
    for size in (0, 2.0, True):
        with pytest.raises(OptionError, match="size must be a whole number of at least 1, got"):
            cutout(torch.ones(1, 3, 8, 8), 0.5, size=size, training=False)
