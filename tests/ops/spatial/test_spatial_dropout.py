"""Laws of spatial dropout in one, two and three dimensions."""

import pytest
import torch

from dropkit import ops
from dropkit.core import ShapeError
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent

OPS = {1: ops.spatial_dropout1d, 2: ops.spatial_dropout2d, 3: ops.spatial_dropout3d}


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dims", OPS)
def test_each_map_is_dropped_or_rescaled_as_a_whole(dims, rate, rng):
    x = torch.randn(32, 40, *[3] * dims, generator=rng)
    y = OPS[dims](x, rate, training=True, generator=rng)
    zeros = (y == 0).flatten(2)
    dropped = zeros.all(2)
    assert 0 < dropped.sum() < dropped.numel()
    assert not zeros[~dropped].any()
    assert torch.equal(y[~dropped], (x * (1 / (1 - rate)))[~dropped])


@pytest.mark.parametrize("dims", OPS)
def test_frequency_and_independence_over_samples_and_channels(dims, rng):
    y = OPS[dims](torch.ones(300, 200, *[1] * dims), 0.3, training=True, generator=rng)
    dropped = (y == 0).view(300, 200)
    assert_frequency(dropped, 0.3)
    assert_independent(dropped[1:], dropped[:-1], 0.3)
    assert_independent(dropped[:, 1:], dropped[:, :-1], 0.3)


@pytest.mark.parametrize("dims", OPS)
def test_the_coins_are_those_of_a_samples_by_channels_mask(dims, seed):
    with stream(seed):
        y = OPS[dims](torch.ones(5, 7, *[2] * dims), 0.4, training=True, site="a")
    kept = torch.from_numpy(mask((5, 7), 0.4, seed=seed, site="a"))
    assert torch.equal((y != 0).flatten(2).all(2), kept)


@pytest.mark.parametrize("dims", OPS)
@pytest.mark.parametrize("off", [-1, 1])
def test_another_rank_is_refused_with_what_is_needed(dims, off):
    x = torch.ones([2] * (dims + 2 + off))
    with pytest.raises(ShapeError, match=rf"spatial_dropout{dims}d needs shape \(N, C, .*\), got \(2,"):
        OPS[dims](x, 0.5, training=True)
