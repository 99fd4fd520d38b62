"""Laws of dropkit.ops.patch_dropout. See tests/README.md for the false-alarm budget."""

from itertools import combinations

import pytest
import torch
from scipy import stats

from dropkit.core import OptionError, RateError, ShapeError
from dropkit.ops import patch_dropout
from dropkit.random import Schedule, stream
from tests.laws import FALSE_ALARM, assert_frequency


def numbered(rows, length):
    """Tokens that say which they are: 0 for the first, 1 for the second ..."""
    return torch.arange(float(length)).view(1, length, 1).repeat(rows, 1, 2)


@pytest.mark.parametrize("spare", [0, 1, 3])
@pytest.mark.parametrize(
    ("rate", "removed"), [(0.0, 0), (0.25, 3), (0.5, 6), (0.7, 8), (0.99, 11), (1.0, 11)]
)
def test_the_share_of_the_tokens_is_removed_and_the_others_stay_in_order(rate, removed, spare, rng):
    x = numbered(50, 12 + spare)
    y = patch_dropout(x, rate, training=True, spare=spare, generator=rng)
    assert y.shape == (50, spare + 12 - removed, 2)
    which = y[..., 0]
    assert torch.equal(which, y[..., 1])
    assert torch.equal(which[:, :spare], x[:, :spare, 0])
    assert (which.diff(dim=1) > 0).all()
    assert rate not in (0.5, 0.7) or len(which.unique(dim=0)) > 1  # by chance once in (12 choose 4) ** 49


def test_every_subset_is_equally_likely(rng):
    y = patch_dropout(numbered(30_000, 5), 0.5, training=True, spare=1, generator=rng)[:, 1:, 0]
    subsets = list(combinations((1.0, 2.0, 3.0, 4.0), 2))
    counts = [int((y == torch.tensor(subset)).all(1).sum()) for subset in subsets]
    assert sum(counts) == 30_000
    assert stats.chisquare(counts).pvalue > FALSE_ALARM


def test_rows_choose_for_themselves(rng):
    y = patch_dropout(numbered(4000, 2), 0.5, training=True, spare=0, generator=rng)[:, 0, 0]
    assert_frequency(y == 0, 0.5)
    assert_frequency(y[1:] == y[:-1], 0.5)


def test_gradients_go_to_the_tokens_that_are_left(rng):
    x = numbered(4, 9).requires_grad_()
    y = patch_dropout(x, 0.5, training=True, generator=rng)
    y.sum().backward()
    expected = torch.zeros(4, 9).scatter(1, y[..., 0].long(), 1.0)
    assert torch.equal(x.grad, expected.unsqueeze(-1).expand(4, 9, 2))


def test_nothing_to_remove_gives_the_input_itself():
    x = numbered(3, 5)
    for rate, training, spare in [
        (0.5, False, 1),
        (0.0, True, 1),
        (0.05, True, 1),
        (0.9, True, 5),
        (1.0, True, 9),
    ]:
        assert patch_dropout(x, rate, training=training, spare=spare) is x
    assert patch_dropout(x[:, :2], 1.0, training=True).shape == (3, 2, 2)  # never the last one
    assert patch_dropout(x[:0], 0.5, training=True).shape == (0, 3, 2)


def test_the_rate_may_be_one_number_in_a_tensor_but_no_more(seed):
    x = numbered(3, 9)
    assert patch_dropout(x, torch.tensor(0.5), training=True).shape == (3, 5, 2)
    with pytest.raises(RateError, match="patch_dropout needs a rate that is a number"):
        patch_dropout(x, torch.full((3,), 0.5), training=True)

    class Half(Schedule):
        def at(self, step):
            return 0.5

    with stream(seed):
        assert patch_dropout(x, Half(), training=True).shape == (3, 5, 2)


def test_what_is_not_legal_is_refused():
    with pytest.raises(ShapeError, match=r"patch_dropout needs shape \(N, L, D\), got \(3, 4\)"):
        patch_dropout(torch.ones(3, 4), 0.5, training=True)
    with pytest.raises(OptionError, match="spare must be an int of at least 0, got -1"):
        patch_dropout(torch.ones(3, 4, 1), 0.5, training=True, spare=-1)
