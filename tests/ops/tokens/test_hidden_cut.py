"""Laws of dropkit.ops.hidden_cut. See tests/README.md for the false-alarm budget."""

import pytest
import torch
from scipy import stats

from dropkit.core import ShapeError
from dropkit.ops import hidden_cut
from tests.laws import FALSE_ALARM, assert_frequency


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_one_run_of_tokens_is_cut_and_the_others_keep_their_values(rate, rng):
    x = torch.randn(2000, 9, 4, generator=rng)
    y = hidden_cut(x, rate, training=True, generator=rng)
    cut = (y == 0).all(-1)
    assert torch.equal(y, torch.where(cut.unsqueeze(-1), 0.0, x))
    edges = (cut.int().diff(dim=1, prepend=torch.zeros(2000, 1).int()) == 1).sum(1)
    assert torch.equal(edges, cut.any(1).long())  # one beginning where anything is cut
    low = int(9 * rate)
    assert set(cut.sum(1).tolist()) == {low, low + 1}
    assert_frequency(cut.sum(1) == low + 1, 9 * rate - low)


def test_every_place_is_equally_likely(rng):
    y = hidden_cut(torch.ones(20_000, 8, 1), 0.25, training=True, generator=rng)[..., 0]
    cut = y == 0
    assert (cut.sum(1) == 2).all()
    counts = cut.int().argmax(1).bincount(minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts.numpy()).pvalue > FALSE_ALARM


def test_with_scores_it_begins_at_one_of_the_top_two_fifths(rng):
    scores = torch.tensor([0.0, 9.0, 1.0, 2.0, 8.0, 0.5, 0.1, 7.0, 0.2, 6.0]).expand(20_000, 10)
    y = hidden_cut(torch.ones(20_000, 10, 1), 0.2, training=True, scores=scores, generator=rng)[..., 0]
    assert ((y == 0).sum(1) == 2).all()
    starts = (y == 0).int().argmax(1)
    counts = starts.bincount(minlength=10)
    assert counts.nonzero().flatten().tolist() == [1, 4, 7, 8]  # that at 9 would pass the end
    assert stats.chisquare(counts[counts > 0].numpy()).pvalue > FALSE_ALARM


def test_scores_of_each_sequence_are_its_own(rng):
    scores = torch.eye(5)
    y = hidden_cut(torch.ones(5, 5, 1), 0.2, training=True, scores=scores, generator=rng)
    cut = (y == 0)[..., 0]
    assert (cut.sum(1) == 1).all()
    tops = scores.argsort(dim=1, descending=True, stable=True)[:, :2]
    assert all(int(cut[row].int().argmax()) in tops[row] for row in range(5))


@pytest.mark.parametrize("length", [1, 2])
def test_short_sequences_have_the_share_too(length, rng):
    y = hidden_cut(torch.ones(20_000, length, 1), 0.3, training=True, generator=rng)
    share = (y == 0).double().mean((1, 2))
    assert abs(share.mean() - 0.3) < 5.1 * 0.5 / 20_000**0.5


def test_rate_one_cuts_all():
    x = torch.full((2, 3, 1), float("nan"))
    assert torch.equal(hidden_cut(x, 1.0, training=True), torch.zeros(2, 3, 1))
    scores = torch.zeros(2, 3)
    assert torch.equal(hidden_cut(x, torch.ones(1), training=True, scores=scores), torch.zeros(2, 3, 1))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"hidden_cut needs shape \(N, L, D\), got \(3, 4\)"):
        hidden_cut(torch.ones(3, 4), 0.5, training=True)
    with pytest.raises(ShapeError, match=r"scores must have shape \(3, 4\), got \(4, 3\)"):
        hidden_cut(torch.ones(3, 4, 1), 0.5, training=False, scores=torch.ones(4, 3))
