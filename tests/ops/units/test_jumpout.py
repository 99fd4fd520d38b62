"""Laws of dropkit.ops.jumpout."""

import math

import pytest
import torch
from scipy import integrate, stats

from dropkit.core import ShapeError
from dropkit.ops import jumpout
from dropkit.ops.units.jumpout import half_normal_deviation
from dropkit.random import stream
from tests.laws import FALSE_ALARM
from tests.nn.contract import hoeffding

Z = stats.norm.isf(FALSE_ALARM / 2)


def dropping(y, x):
    """Return the probability of dropping of each row, told from the factor of what it kept."""
    factor = (y / x).nan_to_num(0.0).flatten(1).amax(1)
    return 1 - factor.clamp(min=1.0) ** (-1 / 0.75)


@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_the_deviation_gives_the_mean_asked_for(rate):
    s = half_normal_deviation(rate)
    low, _ = integrate.quad(lambda z: s * z * stats.halfnorm.pdf(z), 0, min(1 / s, 40), epsabs=1e-13)
    assert low + stats.halfnorm.sf(1 / s) == pytest.approx(rate, rel=1e-9)


def test_the_deviation_of_a_tensor_is_that_of_its_numbers():
    rates = [0.0, 1e-9, 0.2, 0.7, 0.99]
    expected = torch.tensor([half_normal_deviation(r) for r in rates], dtype=torch.float64)
    got = half_normal_deviation(torch.tensor(rates, dtype=torch.float64))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)


def test_a_sample_draws_a_half_normal_rate_and_drops_its_units_with_it(rng):
    rate, units = 0.1, 50  # so small that hardly any draw ends at 1, so many that hardly any row loses all
    x = torch.ones(20_000, units, dtype=torch.float64)
    y = jumpout(x, rate, training=True, generator=rng)
    d = dropping(y, x)
    assert stats.kstest(d / half_normal_deviation(rate), "halfnorm").pvalue > FALSE_ALARM
    excess = (y == 0).sum(1) - units * d
    assert excess.sum().abs() < Z * (units * d * (1 - d)).sum().sqrt()


@pytest.mark.parametrize("active", [5, 20, 40])
def test_of_all_units_the_same_share_changes_whatever_the_number_of_active_ones(active, rng):
    rate, rows, units = 0.1, 20_000, 40
    x = torch.cat((torch.ones(rows, active), torch.zeros(rows, units - active)), 1)
    y = jumpout(x, rate, training=True, generator=rng)
    s, q = half_normal_deviation(rate), active / units
    expected = s * math.sqrt(2 / math.pi) * -math.expm1(-0.5 * (q / s) ** 2) + q * math.erfc(
        q / s / math.sqrt(2)
    )
    assert abs(((x > 0) & (y == 0)).double().mean().item() - expected) < hoeffding(rows)
    assert abs(expected - rate) < (0.05 if active == 5 else 0.002)


def test_the_expected_share_is_the_rate_where_all_are_active(rng):
    for rate in (0.05, 0.5, 0.9):
        y = jumpout(torch.ones(20_000, 3), rate, training=True, generator=rng)
        assert abs((y == 0).double().mean().item() - rate) < hoeffding(20_000)


def test_what_another_sample_holds_changes_nothing(seed):
    x = torch.rand(60, 30, generator=torch.Generator().manual_seed(seed)) - 0.3
    other = x.clone()
    other[1:] = -x[1:]
    with stream(seed):
        y = jumpout(x.relu(), 0.4, training=True, site="a")
    with stream(seed):
        z = jumpout(other.relu(), 0.4, training=True, site="a")
    assert torch.equal(y[0], z[0])
    assert not torch.equal(y[1:], z[1:])


def test_a_sample_with_nothing_active_stays_zero(seed):
    with stream(seed):
        y = jumpout(torch.zeros(10, 4), 0.5, training=True)
    assert torch.equal(y, torch.zeros(10, 4))


def test_rates_by_sample(seed):
    x = torch.ones(3, 400)
    rates = torch.tensor([0.0, 0.4, 1.0]).view(3, 1)
    with stream(seed):
        y = jumpout(x, rates, training=True, site="a")
    with stream(seed):
        expected = jumpout(x, 0.4, training=True, site="a")
    assert torch.equal(y[0], x[0])
    torch.testing.assert_close(y[1], expected[1])
    assert torch.equal(y[2], torch.zeros(400))


def test_no_batch_axis_is_refused():
    with pytest.raises(ShapeError, match=r"jumpout needs shape \(N, \*\), got a 0-d tensor"):
        jumpout(torch.tensor(1.0), 0.5, training=True)
