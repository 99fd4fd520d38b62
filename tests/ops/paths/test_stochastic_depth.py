"""Laws of dropkit.ops.stochastic_depth."""

import pytest
import torch

from dropkit.core import OptionError, ShapeError, StreamError
from dropkit.ops import drop_path, stochastic_depth
from dropkit.random import stream
from tests.laws import assert_frequency, assert_independent


def test_rows_are_drop_path(seed):
    x = torch.linspace(1, 2, 120).view(40, 3)
    with stream(seed):
        y = stochastic_depth(x, 0.4, training=True, mode="row", site="a")
    with stream(seed):
        assert torch.equal(y, drop_path(x, 0.4, training=True, site="a"))
    assert 0 < int((y == 0).all(1).sum()) < 40


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_batch_is_dropped_or_rescaled_as_one(rate, rng):
    x = torch.linspace(1, 2, 12).view(4, 3)
    dropped = []
    for _ in range(2000):
        y = stochastic_depth(x, rate, training=True, mode="batch", generator=rng)
        assert torch.equal(y, torch.zeros(4, 3)) or torch.equal(y, x * (1 / (1 - rate)))
        dropped.append(bool((y == 0).all()))
    coins = torch.tensor(dropped)
    assert_frequency(coins, rate)
    assert_independent(coins[1:], coins[:-1], rate)


def test_the_coin_of_a_batch_is_one_for_all_its_chunks(seed):
    x = torch.ones(6, 2)
    for step in range(30):
        with stream(seed, step=step):
            whole = stochastic_depth(x, 0.5, training=True, mode="batch", site="a")
        for sample in (3, torch.arange(3)):
            with stream(seed, step=step, sample=sample):
                part = stochastic_depth(x[3:], 0.5, training=True, mode="batch", site="a")
            assert torch.equal(part, whole[3:])
    with (
        stream(seed, member=torch.arange(6)),
        pytest.raises(StreamError, match="one mask for the whole batch"),
    ):
        stochastic_depth(x, 0.5, training=True, mode="batch")


def test_bad_arguments_are_named():
    with pytest.raises(OptionError, match="mode must be 'row' or 'batch', got 'rows'"):
        stochastic_depth(torch.ones(2, 2), 0.5, training=False, mode="rows")
    with pytest.raises(ShapeError, match="0-d"):
        stochastic_depth(torch.tensor(1.0), 0.5, training=True)
    y = stochastic_depth(torch.tensor(3.0), 0.0, training=True, mode="batch")
    assert y == 3.0
