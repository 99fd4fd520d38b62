"""Laws of dropkit.ops.locked_dropout. See tests/README.md for the false-alarm budget."""

import pytest
import torch

from dropkit.core import ShapeError
from dropkit.ops import locked_dropout
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_feature_is_dropped_or_rescaled_at_all_steps_alike(rate, rng):
    x = torch.randn(40, 7, 25, generator=rng)
    y = locked_dropout(x, rate, training=True, generator=rng)
    dropped = (y == 0).all(1)
    assert 0 < dropped.sum() < dropped.numel()
    expected = torch.where(dropped.unsqueeze(1), 0.0, x * (1 / (1 - rate)))
    assert torch.equal(y, expected)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drop_frequency_matches_rate(rate, rng):
    y = locked_dropout(torch.ones(300, 2, 300), rate, training=True, generator=rng)
    assert_frequency(y[:, 0] == 0, rate)


def test_sequences_features_and_calls_have_coins_of_their_own(rng):
    a, b = (locked_dropout(torch.ones(200, 2, 200), 0.3, training=True, generator=rng) == 0 for _ in "ab")
    a, b = a[:, 0], b[:, 0]
    for u, v in [(a, b), (a[1:], a[:-1]), (a[:, 1:], a[:, :-1])]:
        assert_independent(u, v, 0.3)


def test_the_mask_is_the_public_one(seed):
    with stream(seed):
        y = locked_dropout(torch.ones(6, 5, 9), 0.4, training=True, site="s")
    kept = torch.from_numpy(mask((6, 1, 9), 0.4, seed=seed, site="s"))
    assert torch.equal(y != 0, kept.expand(6, 5, 9))


def test_time_first_has_the_masks_of_batch_first(seed):
    x = torch.linspace(1, 2, 120).view(4, 5, 6)
    with stream(seed):
        expected = locked_dropout(x, 0.5, training=True, site="s")
    by_time = x.transpose(0, 1).contiguous()
    with stream(seed):
        y = locked_dropout(by_time, 0.5, training=True, batch_first=False, site="s")
    assert torch.equal(y.transpose(0, 1), expected)
    with stream(seed, sample=1):
        tail = locked_dropout(by_time[:, 1:], 0.5, training=True, batch_first=False, site="s")
    assert torch.equal(tail, y[:, 1:])
    for rate, training in [(0.0, True), (0.5, False)]:
        assert locked_dropout(by_time, rate, training=training, batch_first=False) is by_time


@pytest.mark.parametrize(("batch_first", "layout"), [(True, "N, L, C"), (False, "L, N, C")])
def test_another_rank_is_refused(batch_first, layout):
    with pytest.raises(ShapeError, match=rf"locked_dropout needs shape \({layout}\), got \(3, 4\)"):
        locked_dropout(torch.ones(3, 4), 0.5, training=False, batch_first=batch_first)
