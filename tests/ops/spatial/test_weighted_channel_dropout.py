"""Laws of dropkit.ops.weighted_channel_dropout."""

import math

import pytest
import torch

from dropkit.core import ShapeError
from dropkit.ops import weighted_channel_dropout
from dropkit.random import stream
from tests.laws import assert_frequency
from tests.nn.contract import hoeffding


@pytest.mark.parametrize("rate", [0.2, 0.55])
@pytest.mark.parametrize("axes", [(5,), (2, 3), (2, 1, 3)])
def test_the_share_of_channels_asked_for_is_dropped_and_the_mean_activation_kept(rate, axes, rng):
    x = torch.randn(400, 12, *axes, generator=rng, dtype=torch.float64)
    y = weighted_channel_dropout(x, rate, training=True, generator=rng)
    zeros = (y == 0).flatten(2)
    dropped = zeros.all(2)
    assert not zeros[~dropped].any()
    count = dropped.sum(1)
    assert set(count.tolist()) == {math.floor(12 * rate), math.ceil(12 * rate)}
    factor = (y / x).flatten(2)[:, :, 0]
    total, kept = x.abs().flatten(1).sum(1), torch.where(dropped, 0.0, x.abs().flatten(2).sum(2)).sum(1)
    expected = torch.where(dropped, 0.0, (total / kept).unsqueeze(1).expand_as(dropped))
    torch.testing.assert_close(factor, expected)
    torch.testing.assert_close(y.abs().flatten(1).sum(1), total)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.85])
def test_the_expected_share_is_the_rate_for_any_number_of_channels(rate, rng):
    for channels in (1, 3, 7):
        x = torch.rand(20_000, channels, 1, generator=rng) + 0.1
        y = weighted_channel_dropout(x, rate, training=True, generator=rng)
        assert abs((y == 0).double().mean().item() - rate) < hoeffding(20_000)


def test_the_one_kept_is_drawn_in_proportion_to_its_activation(rng):
    x = torch.tensor([1.0, -2.0, 5.0, 0.0]).view(1, 4, 1).expand(50_000, 4, 1)
    y = weighted_channel_dropout(x, 0.75, training=True, generator=rng)
    kept = (y != 0).squeeze(2)
    assert int(kept.sum(1).max()) == 1
    for channel, share in enumerate([1 / 8, 2 / 8, 5 / 8]):
        assert_frequency(kept[:, channel], share)


def test_two_are_drawn_one_after_the_other(rng):
    x = torch.tensor([1.0, 2.0, 5.0]).view(1, 3, 1).expand(50_000, 3, 1)
    y = weighted_channel_dropout(x, 1 / 3, training=True, generator=rng)
    left_out = (y == 0).squeeze(2)
    chance = 2 / 8 * 5 / 6 + 5 / 8 * 2 / 3  # that the first is drawn neither first nor second
    assert_frequency(left_out[:, 0], chance)


def test_channels_that_are_not_finite_count_as_most_active(seed):
    x = torch.ones(200, 4, 2)
    x[:, 1] = math.inf
    x[:, 3, 0] = math.nan
    with stream(seed):
        y = weighted_channel_dropout(x, 0.5, training=True)
    assert torch.equal(y[:, [0, 2]], torch.zeros(200, 2, 2))
    assert y[:, 1].isinf().all()
    assert y[:, 3, 0].isnan().all()


def test_an_input_of_zeros_stays_zero(seed):
    x = torch.zeros(10, 4, 2, requires_grad=True)
    with stream(seed):
        y = weighted_channel_dropout(x, 0.5, training=True)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(10, 4, 2))
    assert x.grad.isfinite().all()


def test_rates_by_sample(seed):
    x = torch.rand(3, 10, 4, generator=torch.Generator().manual_seed(seed)) + 0.1
    with stream(seed):
        y = weighted_channel_dropout(x, torch.tensor([[0.0], [0.4], [1.0]]), training=True, site="a")
    with stream(seed):
        expected = weighted_channel_dropout(x, 0.4, training=True, site="a")
    torch.testing.assert_close(y[0], x[0])
    torch.testing.assert_close(y[1], expected[1])
    assert torch.equal(y[2], torch.zeros(10, 4))


def test_a_spatial_axis_is_needed():
    with pytest.raises(
        ShapeError, match=r"weighted_channel_dropout needs shape \(N, C, \*\).*, got \(3, 4\)"
    ):
        weighted_channel_dropout(torch.ones(3, 4), 0.5, training=True)
