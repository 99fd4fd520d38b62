"""Laws of dropkit.ops.max_dropout."""

import math

import pytest
import torch
from scipy import stats

from dropkit.core import ShapeError
from dropkit.ops import max_dropout
from dropkit.random import stream
from tests.laws import FALSE_ALARM
from tests.nn.contract import hoeffding


@pytest.mark.parametrize("rate", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("shape", [(500, 30), (500, 3, 2, 5)])
def test_the_largest_units_of_each_sample_are_dropped_and_the_rest_stays(rate, shape, rng):
    x = torch.randn(shape, generator=rng)
    y = max_dropout(x, rate, training=True, generator=rng)
    dropped, x, y = ((t.flatten(1)) for t in (y == 0, x, y))
    assert torch.equal(y[~dropped], x[~dropped])
    least_dropped = torch.where(dropped, x, math.inf).amin(1)
    most_kept = torch.where(dropped, -math.inf, x).amax(1)
    assert (least_dropped > most_kept).all()
    count = dropped.sum(1)
    assert int(count.max()) <= math.ceil(min(2 * rate, 1) * 30)
    assert int(count.min()) >= math.floor(max(2 * rate - 1, 0) * 30)
    assert len(count.unique()) > 3


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("units", [1, 3, 7])
def test_the_share_dropped_is_the_rate_for_any_number_of_units(rate, units, rng):
    x = torch.rand(20_000, units, generator=rng) + 1
    y = max_dropout(x, rate, training=True, generator=rng)
    assert abs((y == 0).double().mean().item() - rate) < hoeffding(20_000)


def test_the_number_dropped_has_its_exact_law(rng):
    # k = floor(6 u + v): the integral over u of the two whole numbers' probabilities, triangles of the same area
    y = max_dropout(torch.rand(60_000, 10, generator=rng) + 1, 0.3, training=True, generator=rng)
    counts = torch.bincount((y == 0).sum(1), minlength=7).tolist()
    expected = [60_000 * p for p in (1 / 12, *[1 / 6] * 5, 1 / 12)]
    assert stats.chisquare(counts, expected).pvalue > FALSE_ALARM


def test_the_first_of_equal_values_count_as_larger(seed):
    with stream(seed):
        y = max_dropout(torch.ones(200, 8), 0.5, training=True)
    dropped = y == 0
    assert 0 < dropped.sum() < dropped.numel()
    assert not (dropped[:, 1:] & ~dropped[:, :-1]).any()


def test_rates_by_sample(seed):
    x = torch.rand(3, 400, generator=torch.Generator().manual_seed(seed)) + 1
    with stream(seed):
        y = max_dropout(x, torch.tensor([[0.0], [0.4], [1.0]]), training=True, site="a")
    with stream(seed):
        expected = max_dropout(x, 0.4, training=True, site="a")
    assert torch.equal(y[0], x[0])
    assert torch.equal(y[1], expected[1])
    assert torch.equal(y[2], torch.zeros(400))
    with pytest.raises(ShapeError, match=r"broadcast to the mask's shape \(3, 1\), got shape \(400,\)"):
        max_dropout(x, torch.zeros(400), training=True)


def test_no_batch_axis_is_refused():
    with pytest.raises(ShapeError, match=r"max_dropout needs shape \(N, \*\), got a 0-d tensor"):
        max_dropout(torch.tensor(1.0), 0.5, training=True)
