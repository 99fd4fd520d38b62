"""Laws of dropkit.ops.dropout. See tests/README.md for the false-alarm budget."""

import pytest
import torch

from dropkit.core import DtypeError, RateError
from dropkit.ops import ScalingError, dropout
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent

RATES = [0.1, 0.5, 0.9]


@pytest.mark.parametrize("rate", RATES)
def test_each_element_is_dropped_or_rescaled_exactly(rate, rng):
    x = torch.randn(64, 100, generator=rng)
    y = dropout(x, rate, training=True, generator=rng)
    dropped = y == 0
    assert 0 < dropped.sum() < y.numel()  # neither branch of the law is vacuous
    assert torch.equal(y[~dropped], (x * (1 / (1 - rate)))[~dropped])


@pytest.mark.parametrize("rate", RATES)
def test_scaling_at_test_time_is_the_original_of_2012(rate, rng):
    x = torch.randn(64, 100, generator=rng)
    y = dropout(x, rate, training=True, scaling="test", generator=rng)
    dropped = y == 0
    assert 0 < dropped.sum() < y.numel()
    assert torch.equal(y[~dropped], x[~dropped])
    assert torch.equal(dropout(x, rate, training=False, scaling="test"), x * (1 - rate))
    assert dropout(x, 0.0, training=False, scaling="test") is x


def test_both_scalings_drop_the_same_elements_and_differ_by_the_factor(seed):
    x = torch.linspace(0.1, 1, 1000)
    with stream(seed):
        inverted = dropout(x, 0.5, training=True, site="a")
    with stream(seed):
        original = dropout(x, 0.5, training=True, scaling="test", site="a")
    assert torch.equal(inverted, 2 * original)


@pytest.mark.parametrize("rate", RATES)
def test_drop_frequency_matches_rate(rate, rng):
    assert_frequency(dropout(torch.ones(300, 1000), rate, training=True, generator=rng) == 0, rate)


def test_rows_columns_and_calls_are_independent(rng):
    a, b = (dropout(torch.ones(300, 300), 0.3, training=True, generator=rng) == 0 for _ in "ab")
    for u, v in [(a, b), (a[1:], a[:-1]), (a[:, 1:], a[:, :-1])]:
        assert_independent(u, v, 0.3)


def test_the_mask_is_the_public_one(seed):
    with stream(seed, step=2, rank=1, member=4):
        y = dropout(torch.ones(7, 33), 0.3, training=True, site="here")
    kept = torch.from_numpy(mask((7, 33), 0.3, seed=seed, step=2, rank=1, member=4, site="here"))
    assert torch.equal(y != 0, kept)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_low_precision_is_rounded_once(dtype, rate, rng):
    x = torch.randn(10_000, generator=rng).to(dtype)
    y = dropout(x, rate, training=True, generator=rng)
    scale = torch.tensor(1 / (1 - rate), dtype=torch.float32)
    assert torch.equal(y[y != 0], (x.float() * scale).to(dtype)[y != 0])


def test_rate_one_drops_all_with_zero_gradient():
    x = torch.tensor([float("inf"), 1.0, float("nan")], requires_grad=True)
    y = dropout(x, 1.0, training=True)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(3))
    assert torch.equal(x.grad, torch.zeros(3))


def test_the_logical_index_decides_not_the_memory(seed):
    x = torch.arange(1.0, 2 * 3 * 4 * 5 + 1).view(2, 3, 4, 5)
    with stream(seed):
        plain = dropout(x, 0.5, training=True, site="a")
    for other in (
        x.to(memory_format=torch.channels_last),
        x.flip(0).flip(0),
        x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    ):
        with stream(seed):
            assert torch.equal(dropout(other, 0.5, training=True, site="a"), plain)


@pytest.mark.parametrize("rate", [-0.1, 1.7, float("nan")])
@pytest.mark.parametrize("training", [True, False])
def test_bad_rate_names_the_value(rate, training):
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got"):
        dropout(torch.ones(2), rate, training=training)


def test_integers_are_refused():
    with pytest.raises(DtypeError, match=r"needs a floating-point tensor, got torch.int64"):
        dropout(torch.arange(3), 0.5, training=True)


def test_an_unknown_scaling_is_named():
    with pytest.raises(ScalingError, match="scaling must be 'train' or 'test', got 'both'"):
        dropout(torch.ones(2), 0.5, training=True, scaling="both")
