"""Laws of dropkit.ops.drop_dim. See tests/README.md for the false-alarm budget."""

import pytest
import torch

from dropkit.core import OptionError, ShapeError
from dropkit.ops import drop_dim
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("choice", ["random", "span"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_dimension_is_dropped_or_rescaled_for_all_tokens(choice, rate, rng):
    x = torch.randn(60, 5, 12, generator=rng)
    y = drop_dim(x, rate, training=True, choice=choice, generator=rng)
    dropped = (y == 0).all(1)
    assert 0 < dropped.sum() < dropped.numel()
    expected = torch.where(dropped.unsqueeze(1), 0.0, x * torch.tensor(1 / (1 - rate), dtype=torch.float32))
    assert torch.equal(y, expected)


@pytest.mark.parametrize("choice", ["random", "span"])
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.9])
@pytest.mark.parametrize("size", [1, 3, 10])
def test_each_dimension_is_dropped_as_often_as_asked(choice, rate, size, rng):
    dropped = (
        drop_dim(torch.ones(5000, 1, size), rate, training=True, choice=choice, generator=rng)[:, 0] == 0
    )
    for dimension in range(size):
        assert_frequency(dropped[:, dimension], rate)
    assert_independent(dropped[1:, 0], dropped[:-1, 0], rate)


def test_random_dimensions_have_the_public_mask(seed):
    with stream(seed):
        y = drop_dim(torch.ones(6, 4, 9), 0.4, training=True, site="s")
    assert torch.equal(y[:, :1] != 0, torch.from_numpy(mask((6, 1, 9), 0.4, seed=seed, site="s")))


def test_a_span_is_one_run_of_neighbours_round_the_end(rng):
    y = drop_dim(torch.ones(2000, 1, 10), 0.35, training=True, choice="span", generator=rng)[:, 0]
    kept = y != 0
    begins = kept & ~kept.roll(-1, 1)  # the last kept one before a dropped one
    assert (begins.sum(1) == 1).all()
    lengths = (~kept).sum(1)
    assert set(lengths.tolist()) == {3, 4}  # 3.5 on average
    assert_frequency(lengths == 4, 0.5)
    assert len(begins.int().argmax(1).unique()) == 10  # a place is missing with 10 * 0.9 ** 2000


@pytest.mark.parametrize("rate", [torch.tensor([[0.0], [1.0], [0.5]]), torch.tensor([0.5])])
def test_sequences_may_have_rates_of_their_own(rate, rng):
    y = drop_dim(torch.ones(3, 2, 8), rate, training=True, choice="span", generator=rng)
    counts = (y == 0).sum(2).expand(3, 2)
    expected = torch.tensor([[0, 0], [8, 8], [4, 4]]) if rate.ndim == 2 else torch.full((3, 2), 4)
    assert torch.equal(counts, expected)
    assert torch.equal(y[2].unique(), torch.tensor([0.0, 2.0]))
    with pytest.raises(ShapeError, match=r"broadcast to the mask's shape \(3, 1\), got shape \(8,\)"):
        drop_dim(torch.ones(3, 2, 8), torch.full((8,), 0.5), training=True, choice="span")


def test_what_is_not_legal_is_refused():
    with pytest.raises(ShapeError, match=r"drop_dim needs shape \(N, L, D\), got \(3, 4\)"):
        drop_dim(torch.ones(3, 4), 0.5, training=True)
    with pytest.raises(OptionError, match="choice must be 'random' or 'span', got 'both'"):
        drop_dim(torch.ones(3, 4, 1), 0.5, training=False, choice="both")
