"""Laws of dropkit.ops.drop_connect."""

import itertools

import pytest
import torch

from dropkit.core import ShapeError, StreamError
from dropkit.ops import drop_connect
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_each_weight_is_dropped_or_rescaled_exactly(rate, rng):
    w = torch.randn(64, 20, generator=rng)
    y = drop_connect(w, rate, training=True, generator=rng)
    assert ((y == 0) | (y == w * (1 / (1 - rate)))).all()
    assert 0 < int((y == 0).sum()) < w.numel()


def test_the_mask_is_the_reference_mask(seed):
    with stream(seed):
        y = drop_connect(torch.ones(9, 7), 0.3, training=True, site="w")
    assert torch.equal(y != 0, torch.from_numpy(mask((9, 7), 0.3, seed=seed, site="w")))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drop_frequency_matches_rate(rate, rng):
    assert_frequency(drop_connect(torch.ones(100, 1000), rate, training=True, generator=rng) == 0, rate)


def test_mean_and_variance_of_a_linear_map_over_all_masks():
    rate, w, v = 0.3, torch.tensor([[1.0, -2.0], [0.5, 3.0]]).double(), torch.tensor([0.7, -0.4]).double()
    found = {}
    for step in range(3000):
        with stream(0, step=step):
            y = drop_connect(w, rate, training=True)
        found[tuple((y != 0).flatten().tolist())] = y
    assert set(found) == set(itertools.product([False, True], repeat=4))
    chance = {m: (1 - rate) ** sum(m) * rate ** (4 - sum(m)) for m in found}
    mean = sum(chance[m] * (y @ v) for m, y in found.items())
    spread = sum(chance[m] * (y @ v - w @ v) ** 2 for m, y in found.items())
    torch.testing.assert_close(mean, w @ v)
    torch.testing.assert_close(spread, (w**2 @ v**2) * rate / (1 - rate))


def test_copies_have_independent_masks_a_sample(rng):
    y = drop_connect(torch.ones(50, 60), 0.3, training=True, copies=40, generator=rng)
    assert y.shape == (40, 50, 60)
    dropped = y == 0
    assert_frequency(dropped, 0.3)
    assert_independent(dropped[1:], dropped[:-1], 0.3)


def test_copies_follow_the_samples_and_a_shared_mask_does_not(seed):
    w = torch.ones(5, 6)
    with stream(seed):
        copies, shared = (drop_connect(w, 0.5, training=True, copies=c, site="w") for c in (8, None))
    with stream(seed, sample=3):
        assert torch.equal(drop_connect(w, 0.5, training=True, copies=5, site="w"), copies[3:])
        assert torch.equal(drop_connect(w, 0.5, training=True, site="w"), shared)
    with (
        stream(seed, member=torch.arange(5)),
        pytest.raises(StreamError, match="one mask for the whole batch"),
    ):
        drop_connect(w, 0.5, training=True)


def test_no_copies_of_a_negative_number():
    with pytest.raises(ShapeError, match="copies must be at least 0, got -1"):
        drop_connect(torch.ones(2, 2), 0.5, training=True, copies=-1)
    assert drop_connect(torch.ones(2, 3), 0.5, training=True, copies=0).shape == (0, 2, 3)
