"""Laws of dropkit.ops.drop_filter."""

import pytest
import torch

from dropkit.core import ShapeError, StreamError
from dropkit.ops import drop_filter
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("axes", [(4,), (2, 3), (2, 1, 2)])
def test_a_filter_is_dropped_or_rescaled_for_all_samples(rate, axes, seed):
    x = (
        torch.linspace(1, 2, 5 * 60 * axes[0])
        .view(5, 60, axes[0], *[1] * (len(axes) - 1))
        .expand(5, 60, *axes)
    )
    with stream(seed):
        y = drop_filter(x, rate, training=True, site="a")
    kept = torch.from_numpy(mask(60, rate, seed=seed, site="a")).view(60, *[1] * len(axes))
    assert torch.equal(y, torch.where(kept, x * (1 / (1 - rate)), 0.0))
    assert 0 < kept.sum() < 60


def test_frequency_and_independence_over_filters_and_calls(rng):
    first, second = (
        drop_filter(torch.ones(1, 100_000, 1), 0.3, training=True, generator=rng).flatten() == 0
        for _ in range(2)
    )
    assert_frequency(first, 0.3)
    assert_independent(first, second, 0.3)
    assert_independent(first[1:], first[:-1], 0.3)


def test_one_member_a_row_cannot_share_a_coin(seed):
    with (
        stream(seed, member=torch.arange(3)),
        pytest.raises(StreamError, match="one mask for the whole batch"),
    ):
        drop_filter(torch.ones(3, 4, 2), 0.5, training=True)


def test_a_spatial_axis_is_needed():
    with pytest.raises(ShapeError, match=r"drop_filter needs shape \(N, C, \*\).*, got \(3, 4\)"):
        drop_filter(torch.ones(3, 4), 0.5, training=True)
