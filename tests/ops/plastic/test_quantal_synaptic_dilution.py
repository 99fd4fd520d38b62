"""Laws of dropkit.ops.quantal_synaptic_dilution."""

import pytest
import torch
from scipy import stats

from dropkit.core import OptionError
from dropkit.ops import dropout, quantal_synaptic_dilution
from dropkit.ops.draws import draw_uniform
from dropkit.random import stream
from tests.laws import FALSE_ALARM, assert_frequency


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [1, 11])
def test_quanta_are_released_or_not_and_gamma_distributed(rate, shape, rng):
    y = quantal_synaptic_dilution(torch.full((60_000,), 2.0), rate, training=True, shape=shape, generator=rng)
    assert_frequency(y == 0, rate)
    sizes = y[y != 0].double() / 2 * (1 - rate)
    assert stats.kstest(sizes.numpy(), stats.gamma(shape, scale=1 / shape).cdf).pvalue > FALSE_ALARM


def test_release_is_that_of_dropout_and_size_does_not_depend_on_it(seed):
    x = torch.ones(300, 40)
    with stream(seed):
        y = quantal_synaptic_dilution(x, 0.4, training=True, site="a")
    with stream(seed):
        assert torch.equal(y == 0, dropout(x, 0.4, training=True, site="a") == 0)
    with stream(seed):
        all_released = quantal_synaptic_dilution(x, 0.0, training=True, site="a")
    assert all_released.std() > 0
    torch.testing.assert_close(y[y != 0], all_released[y != 0] / 0.6)


def test_sizes_are_counted_apart_from_release(seed):
    x = torch.ones(300, 40, dtype=torch.float64)
    with stream(seed):
        y = quantal_synaptic_dilution(x, 0.0, training=True, shape=3, site="a")
    with stream(seed):
        u = draw_uniform((300, 40, 3), x.device, generator=None, site="a:size")
    torch.testing.assert_close(y, -u.log().mean(-1))


def test_each_unit_may_release_by_its_own_rate(rng):
    rates = torch.tensor([0.0, 0.3, 1.0])
    y = quantal_synaptic_dilution(torch.ones(50_000, 3), rates, training=True, generator=rng)
    assert (y[:, 0] > 0).all()
    assert not y[:, 2].any()
    assert_frequency(y[:, 1] == 0, 0.3)


def test_what_is_not_released_is_zero_even_if_infinite(rng):
    y = quantal_synaptic_dilution(torch.full((1000,), float("inf")), 0.5, training=True, generator=rng)
    assert set(y.unique().tolist()) == {0.0, float("inf")}


@pytest.mark.parametrize("shape", [0, -1, 2.5, True])
def test_a_shape_that_is_no_whole_number_is_refused(shape):
    with pytest.raises(OptionError, match="shape must be a whole number of at least 1, got"):
        quantal_synaptic_dilution(torch.ones(2), 0.5, training=False, shape=shape)
