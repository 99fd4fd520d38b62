"""Laws of dropkit.ops.attention_dropout. See tests/README.md for the false-alarm budget."""

import pytest
import torch

from dropkit.core import ShapeError
from dropkit.ops import attention, attention_dropout, dropout
from dropkit.random import mask, stream
from tests.laws import assert_frequency


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_it_is_dropout_of_the_probabilities(rate, seed, rng):
    p = torch.randn(3, 2, 5, 7, generator=rng).softmax(-1)
    with stream(seed):
        expected = dropout(p, rate, training=True, site="a")
    with stream(seed):
        y = attention_dropout(p, rate, training=True, site="a")
    assert torch.equal(y, expected)
    assert torch.equal(y != 0, torch.from_numpy(mask(p.shape, rate, seed=seed, site="a")))


def test_attention_with_it_inside_is_the_attention_op(seed, rng):
    q, k, v = torch.randn(3, 2, 2, 4, 8, generator=rng, dtype=torch.float64)
    p = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1)
    with stream(seed):
        expected = attention(q, k, v, rate=0.3, training=True, site="a")
    with stream(seed):
        torch.testing.assert_close(attention_dropout(p, 0.3, training=True, site="a") @ v, expected)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drop_frequency_matches_rate(rate, rng):
    assert_frequency(
        attention_dropout(torch.ones(4, 200, 200), rate, training=True, generator=rng) == 0, rate
    )


def test_a_vector_is_refused():
    with pytest.raises(ShapeError, match=r"attention_dropout needs shape \(\*, L, S\), got \(3,\)"):
        attention_dropout(torch.ones(3), 0.5, training=False)
