"""Laws of dropkit.ops.feature_alpha_dropout."""

import numpy as np
import pytest
import torch
from scipy import stats

from dropkit.core import ShapeError
from dropkit.ops import alpha_dropout, feature_alpha_dropout
from dropkit.random import mask, stream
from tests.laws import FALSE_ALARM, assert_frequency, assert_independent

VALUE = -1.7580993408473766


def coefficients(rate):
    a = ((1 - rate) * (1 + rate * VALUE**2)) ** -0.5
    return a, -a * rate * VALUE


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("axes", [(), (5,), (2, 3), (2, 1, 3)])
def test_each_map_is_saturated_or_kept_then_shifted(rate, axes, seed):
    x = torch.linspace(-1, 3, 64 * 30 * int(np.prod(axes)), dtype=torch.float64).view(64, 30, *axes)
    with stream(seed):
        y = feature_alpha_dropout(x, rate, training=True, site="a")
    kept = torch.from_numpy(mask((64, 30), rate, seed=seed, site="a")).view(64, 30, *[1] * len(axes))
    a, b = coefficients(rate)
    assert torch.equal(y, torch.where(kept, a * x + b, a * VALUE + b))
    assert 0 < kept.sum() < kept.numel()


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_mean_zero_and_variance_one_are_kept(rate, rng):
    # Units of a map share a coin, so the sums over a map are what is independent.
    x = torch.randn(4000, 100, 2, generator=rng, dtype=torch.float64)
    y = feature_alpha_dropout(x, rate, training=True, generator=rng).numpy()
    z = stats.norm.isf(FALSE_ALARM / 2)
    for moment, expected in ((y.mean(2), 0), ((y**2).mean(2), 1)):
        assert abs(moment.mean() - expected) < z * moment.std() / np.sqrt(moment.size)


def test_without_further_axes_it_is_alpha_dropout(seed):
    x = torch.randn(50, 20, generator=torch.Generator().manual_seed(seed))
    with stream(seed):
        y = feature_alpha_dropout(x, 0.4, training=True, site="a")
    with stream(seed):
        assert torch.equal(y, alpha_dropout(x, 0.4, training=True, site="a"))


def test_the_gradient_reaches_kept_maps_only(seed):
    x = torch.randn(100, 10, 3, generator=torch.Generator().manual_seed(seed)).double().requires_grad_()
    with stream(seed):
        feature_alpha_dropout(x, 0.3, training=True, site="a").sum().backward()
    kept = torch.from_numpy(mask((100, 10), 0.3, seed=seed, site="a")).unsqueeze(2)
    assert torch.equal(x.grad, (kept.double() * coefficients(0.3)[0]).expand_as(x))


def test_frequency_and_independence_on_infinite_input(rng):
    x = torch.full((300, 200, 2), float("inf"))
    dropped = feature_alpha_dropout(x, 0.1, training=True, generator=rng).isfinite()
    assert torch.equal(dropped[..., 0], dropped[..., 1])
    assert_frequency(dropped[..., 0], 0.1)
    assert_independent(dropped[1:, :, 0], dropped[:-1, :, 0], 0.1)
    assert_independent(dropped[:, 1:, 0], dropped[:, :-1, 0], 0.1)


def test_rates_as_tensors_are_those_of_floats(seed):
    x = torch.randn(20, 6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rates = torch.tensor([0.0, 0.2, 0.5, 0.5, 0.9, 1.0], dtype=torch.float64).view(6, 1)
    with stream(seed):
        y = feature_alpha_dropout(x, rates, training=True, site="a")
    for channel, rate in enumerate(rates.flatten().tolist()):
        with stream(seed):
            expected = feature_alpha_dropout(x, rate, training=True, site="a")[:, channel]
        torch.testing.assert_close(y[:, channel], expected, rtol=1e-12, atol=1e-12)


def test_rate_one_is_zero():
    assert not feature_alpha_dropout(torch.full((2, 3, 4), float("inf")), 1.0, training=True).any()


@pytest.mark.parametrize("training", [True, False])
def test_an_input_without_channels_is_refused(training):
    with pytest.raises(ShapeError, match=r"feature_alpha_dropout needs shape \(N, C, \*\), got \(3,\)"):
        feature_alpha_dropout(torch.ones(3), 0.5, training=training)
