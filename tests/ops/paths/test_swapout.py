"""Laws of dropkit.ops.swapout."""

import pytest
import torch

from dropkit.core import RateError, ShapeError
from dropkit.ops import dropout, swapout
from dropkit.random import stream
from tests.laws import assert_frequency, assert_independent


def test_it_is_dropout_on_each_term_with_masks_of_their_own(seed, rng):
    x, f = torch.randn(30, 8, generator=rng), torch.randn(30, 8, generator=rng)
    with stream(seed):
        y = swapout(x, 0.4, branch=f, branch_rate=0.7, training=True, site="a")
    with stream(seed):
        expected = dropout(x, 0.4, training=True, site="a") + dropout(f, 0.7, training=True, site="a:branch")
    assert torch.equal(y, expected)


def test_an_element_is_one_of_four(rng):
    x, f = torch.full((100_000,), 1.0), torch.full((100_000,), 10.0)
    y = swapout(x, 0.5, branch=f, training=True, generator=rng)
    assert set(y.unique().tolist()) == {0.0, 2.0, 20.0, 22.0}
    for value in (0.0, 2.0, 20.0, 22.0):
        assert_frequency(y == value, 0.25)


def test_rates_of_both_terms_and_independence(rng):
    x, f = torch.full((100_000,), 1.0), torch.full((100_000,), 10.0)
    y = swapout(x, 0.2, branch=f, branch_rate=0.2, training=True, generator=rng)
    branch = y >= 10
    kept = torch.where(branch, y - 12.5, y) > 0.5
    assert_frequency(~branch, 0.2)
    assert_frequency(~kept, 0.2)
    assert_independent(branch, kept, 0.2)


@pytest.mark.parametrize(
    ("rate", "branch_rate", "expected"), [(1.0, 0.0, 10.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0)]
)
def test_extreme_rates_keep_one_term(rate, branch_rate, expected):
    y = swapout(torch.ones(3), rate, branch=torch.full((3,), 10.0), branch_rate=branch_rate, training=True)
    assert torch.equal(y, torch.full((3,), expected))


def test_eval_is_the_sum():
    x, f = torch.ones(3), torch.full((3,), 10.0)
    assert torch.equal(swapout(x, 0.7, branch=f, training=False), x + f)


def test_bad_arguments_are_named():
    with pytest.raises(ShapeError, match=r"two tensors of one shape, got \(3,\) and \(1,\)"):
        swapout(torch.ones(3), 0.5, branch=torch.ones(1), training=False)
    with pytest.raises(RateError, match="got 2"):
        swapout(torch.ones(3), 0.5, branch=torch.ones(3), branch_rate=2.0, training=True)
