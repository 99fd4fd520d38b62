"""Laws of dropkit.ops.embedding_dropout. See tests/README.md for the false-alarm budget."""

import pytest
import torch

from dropkit.core import DtypeError, RateError, ShapeError
from dropkit.ops import embedding_dropout
from dropkit.random import stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_word_is_dropped_or_rescaled_as_a_whole(rate, rng):
    x = torch.randn(500, 4, generator=rng)
    y = embedding_dropout(x, rate, training=True, generator=rng)
    dropped = (y == 0).all(1)
    assert 0 < dropped.sum() < 500
    assert torch.equal(y, torch.where(dropped.unsqueeze(1), 0.0, x * (1 / (1 - rate))))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drop_frequency_matches_rate_and_words_are_independent(rate, rng):
    a, b = (
        embedding_dropout(torch.ones(50_000, 1), rate, training=True, generator=rng)[:, 0] == 0 for _ in "ab"
    )
    assert_frequency(a, rate)
    assert_independent(a, b, rate)
    assert_independent(a[1:], a[:-1], rate)


def test_the_mask_belongs_to_the_vocabulary_not_to_rows_of_data(seed):
    x = torch.ones(50, 2)
    with stream(seed):
        expected = embedding_dropout(x, 0.5, training=True, site="e")
    for sample in (7, torch.arange(3)):
        with stream(seed, sample=sample):
            assert torch.equal(embedding_dropout(x, 0.5, training=True, site="e"), expected)


def test_nothing_happens_in_eval_mode_and_at_rate_zero():
    x = torch.ones(3, 2)
    assert embedding_dropout(x, 0.5, training=False) is x
    assert embedding_dropout(x, 0.0, training=True) is x


def test_bad_input_is_refused():
    with pytest.raises(ShapeError, match=r"needs shape \(V, D\) of an embedding matrix, got \(2, 3, 4\)"):
        embedding_dropout(torch.ones(2, 3, 4), 0.5, training=True)
    with pytest.raises(DtypeError, match=r"torch\.int64"):
        embedding_dropout(torch.ones(2, 3).long(), 0.5, training=True)
    with pytest.raises(RateError, match="got 2"):
        embedding_dropout(torch.ones(2, 3), 2, training=True)
