"""Laws of dropkit.ops.word_dropout. See tests/README.md for the false-alarm budget."""

import pytest
import torch

import dropkit as dk
from dropkit.core import DtypeError, OptionError, RateError
from dropkit.ops import word_dropout
from dropkit.random import Schedule, mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_a_token_is_replaced_or_stays(dtype, seed):
    x = (torch.arange(400).view(20, 20) % 50 + 5).to(dtype)
    with stream(seed):
        y = word_dropout(x, 0.4, training=True, unknown=3, site="s")
    kept = torch.from_numpy(mask((20, 20), 0.4, seed=seed, site="s"))
    assert y.dtype is dtype
    assert 0 < kept.sum() < 400
    assert torch.equal(y, torch.where(kept, x, 3).to(dtype))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_frequency_matches_rate_and_tokens_are_independent(rate, rng):
    gone = word_dropout(torch.ones(200, 200).long(), rate, training=True, unknown=0, generator=rng) == 0
    assert_frequency(gone, rate)
    assert_independent(gone[1:], gone[:-1], rate)
    assert_independent(gone[:, 1:], gone[:, :-1], rate)


def test_spared_tokens_stay():
    x = torch.arange(10).repeat(100, 1)
    y = word_dropout(x, 1.0, training=True, unknown=9, spared=(0, 1))
    assert torch.equal(y, torch.tensor([0, 1] + [9] * 8).repeat(100, 1))


def test_nothing_happens_in_eval_mode_and_at_rate_zero(seed):
    class Half(Schedule):
        def at(self, step):
            return 0.5

    x = torch.ones(3, 4).long()
    assert word_dropout(x, 0.5, training=False, unknown=0) is x
    assert word_dropout(x, Half(), training=False, unknown=0) is x
    assert word_dropout(x, 0.0, training=True, unknown=0) is x


def test_the_module_follows_the_rows_of_the_data(seed):
    layer, x = dk.nn.WordDropout(0.5, 0, spared=[7], site="s"), torch.ones(6, 30).long()
    x[:, 3] = 7
    with stream(seed):
        y = layer(x)
        assert torch.equal(y[:, 3], x[:, 3])
        assert 0 < (y == 0).sum() < 6 * 29
    with stream(seed, sample=2):
        assert torch.equal(layer(x[2:]), y[2:])
    assert repr(layer) == "WordDropout(rate=0.5, site='s', unknown=0, spared=(7,))"
    assert "spared" not in repr(dk.nn.WordDropout(0.5, 0))


def test_what_is_not_legal_is_refused():
    tokens = torch.ones(3).long()
    for x in (torch.ones(3), torch.ones(3).bool(), torch.ones(3).cfloat()):
        with pytest.raises(DtypeError, match="after the embedding use token_dropout"):
            word_dropout(x, 0.5, training=True, unknown=0)
    for bad in (-1, 1.0, True):
        with pytest.raises(OptionError, match="unknown must be a token's number, an int of at least 0, got"):
            word_dropout(tokens, 0.5, training=False, unknown=bad)
        with pytest.raises(OptionError, match="spared must be a token's number"):
            dk.nn.WordDropout(0.5, 0, spared=(1, bad))
    with pytest.raises(RateError, match="rate must be in"):
        word_dropout(tokens, 1.5, training=False, unknown=0)
