"""Laws of dropkit.ops.token_dropout. See tests/README.md for the false-alarm budget."""

import pytest
import torch

from dropkit.core import OptionError, RateError, ShapeError
from dropkit.ops import token_dropout
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_token_is_dropped_or_rescaled_as_a_whole(rate, seed, rng):
    x = torch.randn(30, 20, 3, generator=rng)
    with stream(seed):
        y = token_dropout(x, rate, training=True, site="s")
    kept = torch.from_numpy(mask((30, 20, 1), rate, seed=seed, site="s"))
    assert 0 < kept.sum() < kept.numel()
    assert torch.equal(y, torch.where(kept, x * (1 / (1 - rate)), 0.0))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drop_frequency_matches_rate_and_tokens_are_independent(rate, rng):
    dropped = token_dropout(torch.ones(200, 200, 1), rate, training=True, generator=rng)[..., 0] == 0
    assert_frequency(dropped, rate)
    assert_independent(dropped[1:], dropped[:-1], rate)
    assert_independent(dropped[:, 1:], dropped[:, :-1], rate)


def test_spared_tokens_stay_and_the_others_do_not(rng):
    x = torch.randn(100, 6, 2, generator=rng)
    y = token_dropout(x, 0.5, training=True, spare=2, generator=rng)
    assert torch.equal(y[:, :2], x[:, :2])
    dropped = (y == 0).all(-1)[:, 2:]
    assert 0 < dropped.sum() < dropped.numel()
    assert torch.equal(y[:, 2:][~dropped], 2 * x[:, 2:][~dropped])
    everything = token_dropout(x, 1.0, training=True, spare=99)
    assert torch.equal(everything, x)
    assert token_dropout(x, 0.0, training=True, spare=2) is x
    assert torch.equal(token_dropout(x, 1.0, training=True, spare=2)[:, 2:], torch.zeros(100, 4, 2))


def test_whole_sequences_stay_untouched_as_often_as_asked(rng):
    y = token_dropout(torch.ones(5000, 40, 1), 0.5, training=True, untouched=0.3, generator=rng)
    untouched = (y == 1).all(1)  # 0.5 ** 40 for one that was touched
    assert_frequency(untouched, 0.3)
    assert_frequency(y[~untouched.expand(5000, 40)] == 0, 0.5)
    assert set(y.unique().tolist()) == {0.0, 1.0, 2.0}
    x = torch.ones(3, 4, 1)
    assert torch.equal(token_dropout(x, 1.0, training=True, untouched=1.0), x)


def test_rate_zero_shifts_no_later_mask(seed):
    x = torch.ones(8, 8, 1)

    def second(rate):
        with stream(seed):
            token_dropout(x, rate, training=True, untouched=0.5)
            return token_dropout(x, 0.5, training=True)

    assert torch.equal(second(0.0), second(0.3))
    assert torch.equal(second(1.0), second(0.3))


def test_what_is_not_legal_is_refused():
    with pytest.raises(ShapeError, match=r"token_dropout needs shape \(N, L, D\), got \(3, 4\)"):
        token_dropout(torch.ones(3, 4), 0.5, training=True)
    for spare in (-1, True, 1.0):
        with pytest.raises(OptionError, match="spare must be an int of at least 0, got"):
            token_dropout(torch.ones(3, 4, 1), 0.5, training=False, spare=spare)
    with pytest.raises(RateError, match=r"untouched must be in \[0, 1\], got 1\.5"):
        token_dropout(torch.ones(3, 4, 1), 0.5, training=True, untouched=1.5)
