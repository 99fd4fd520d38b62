"""dropkit.nn.FractalDropPath: columns chosen for a whole network."""

import pytest
import torch

import dropkit as dk
from dropkit.core import RateError, ShapeError
from dropkit.random import stream
from tests.laws import assert_frequency


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_columns_are_chosen_for_a_share_of_the_samples_each_as_likely(share, rng):
    column = dk.nn.FractalDropPath.choose(60_000, 4, share, generator=rng)
    assert column.dtype is torch.int64
    assert_frequency(column < 0, 1 - share)
    for k in range(4):
        assert_frequency(column == k, share / 4)


def test_a_share_of_zero_is_all_local():
    assert (dk.nn.FractalDropPath.choose(1000, 4, 0.0) == -1).all()


def test_all_joins_of_a_network_take_the_same_column(seed):
    first, second = dk.nn.FractalDropPath(0.5, site="1"), dk.nn.FractalDropPath(0.5, site="2")
    x = torch.zeros(200, 1)
    with stream(seed):
        column = dk.nn.FractalDropPath.choose(200, 3, 1.0, site="columns")
        a = first(x, x + 1, x + 2, column=column)
        b = second(x, x + 1, x + 2, column=column)
    assert torch.equal(a, b)
    assert torch.equal(a[:, 0].long(), column)
    with stream(seed, sample=50):
        part = dk.nn.FractalDropPath.choose(150, 3, 1.0, site="columns")
    assert torch.equal(part, column[50:])


def test_bad_arguments_are_named():
    with pytest.raises(RateError, match="share must be in"):
        dk.nn.FractalDropPath.choose(2, 3, 1.5)
    with pytest.raises(ShapeError, match="columns must be at least 1, got 0"):
        dk.nn.FractalDropPath.choose(2, 0)
