"""Laws of dropkit.ops.attention_based_dropout."""

import pytest
import torch

from dropkit.core import OptionError, ShapeError
from dropkit.ops import attention_based_dropout
from tests.laws import assert_frequency


def test_the_salient_positions_are_hidden_or_the_map_acts(rng):
    x = torch.rand(400, 3, 4, 5, generator=rng) + 0.1
    y = attention_based_dropout(x, 0.5, training=True, threshold=0.7, generator=rng)
    a = x.mean(1, keepdim=True)
    hidden = torch.where(a >= 0.7 * a.amax((2, 3), keepdim=True), 0.0, x)
    stressed = x * torch.sigmoid(a)
    was_hidden = (y == hidden).flatten(1).all(1)
    was_stressed = (y == stressed).flatten(1).all(1)
    assert (was_hidden ^ was_stressed).all()
    assert 0 < was_hidden.sum() < 400
    assert ((hidden == 0).sum() > 0) & ((hidden != 0).sum() > 0)


@pytest.mark.parametrize("rate", [0.1, 0.75])
def test_samples_are_hidden_at_the_rate(rate, rng):
    y = attention_based_dropout(torch.ones(20_000, 1, 2, 2), rate, training=True, generator=rng)
    assert_frequency((y == 0).flatten(1).all(1), rate)


def test_the_threshold_says_how_much_is_hidden():
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 2, 2)
    for threshold, left in ((0.0, 0), (0.5, 1), (0.75, 2), (0.8, 3), (1.0, 3)):
        y = attention_based_dropout(x, 1.0, training=True, threshold=threshold)
        assert torch.equal(y, torch.where(x.cumsum(3) * 0 + x <= left, x, 0.0))


def test_hidden_positions_are_zero_even_where_the_input_is_infinite():
    x = torch.ones(1, 2, 2, 2)
    x[0, :, 0, 0] = float("inf")
    y = attention_based_dropout(x, 1.0, training=True)
    assert torch.equal(y[0, :, 0, 0], torch.zeros(2))
    assert torch.equal(y[0, :, 1], x[0, :, 1])


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(ShapeError, match=r"needs shape \(N, C, H, W\), got \(2, 3\)"):
        attention_based_dropout(torch.ones(2, 3), 0.5, training=True)
    with pytest.raises(OptionError, match=r"threshold must be in \[0, 1\], got 1.2"):
        attention_based_dropout(torch.ones(1, 1, 2, 2), 0.5, training=True, threshold=1.2)
