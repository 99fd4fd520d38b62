"""Laws of dropkit.ops.random_erasing."""

import pytest
import torch
from scipy import stats

from dropkit.core import OptionError, ShapeError
from dropkit.ops import random_erasing
from dropkit.random import stream
from tests.laws import FALSE_ALARM, assert_frequency


def edges(erased):
    """Return heights and widths of the erased rectangles, after checking that they are rectangles."""
    rows, columns = erased.any(2), erased.any(1)
    assert torch.equal(erased, rows.unsqueeze(2) & columns.unsqueeze(1))
    for line in (rows, columns):
        assert (line[:, 1:] & ~line[:, :-1]).sum(1).add(line[:, 0]).max() <= 1  # no gap
    return rows.sum(1).double(), columns.sum(1).double()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 50), (60, 8), (2, 300)])
def test_a_rectangle_of_the_area_and_shape_asked_for_is_erased(height, width, rng):
    x = torch.rand(2000, 2, height, width, generator=rng) + 1
    y = random_erasing(x, 0.7, smallest=0.1, largest=0.3, training=True, generator=rng)
    erased = y == 0
    assert torch.equal(y[~erased], x[~erased])
    assert torch.equal(erased, erased[:, :1].expand_as(erased))
    erased = erased[:, 0]
    h, w = edges(erased[erased.flatten(1).any(1)])
    least, most = 0.1 * height * width, 0.3 * height * width
    assert ((h + 0.5) * (w + 0.5) >= least).all()  # the edges are rounded to whole elements
    assert ((h - 0.5) * (w - 0.5) <= most).all()
    if (height, width) == (32, 32):
        assert ((h + 0.5) / (w - 0.5) >= 0.3).all()
        assert ((h - 0.5) / (w + 0.5) <= 1 / 0.3).all()
        assert len((h * 100 + w).unique()) > 30


def test_frequency_of_samples(rng):
    y = random_erasing(torch.ones(20_000, 1, 8, 8), 0.3, training=True, generator=rng)
    assert_frequency((y == 0).flatten(1).any(1), 0.3)


def test_areas_shapes_and_places_are_uniform(rng):
    y = random_erasing(torch.ones(3000, 1, 200, 200), 1.0, training=True, generator=rng)
    erased = y[:, 0] == 0
    h, w = edges(erased)
    top = erased.any(2).double().argmax(1)
    generator = torch.Generator().manual_seed(0)

    def smooth(values):  # undoes the rounding to whole elements
        return values + torch.rand(len(values), generator=generator, dtype=torch.float64)

    area = smooth(h - 0.5) * smooth(w - 0.5) / 200**2
    small = area < 0.3 - 0.02  # where every shape fits
    assert stats.kstest(area, stats.uniform(0.02, 0.38).cdf).statistic < 0.06
    assert stats.kstest((h / w)[small], stats.uniform(0.3, 1 / 0.3 - 0.3).cdf).statistic < 0.08
    place = smooth(top.double()) / (200 - h + 1)
    assert stats.kstest(place, "uniform").pvalue > FALSE_ALARM


def test_noise_instead_of_zeros(seed):
    x = torch.full((300, 2, 10, 10), 9.0)
    with stream(seed):
        zeros = random_erasing(x, 0.5, training=True, site="a")
    with stream(seed):
        y = random_erasing(x, 0.5, fill="noise", training=True, site="a")
    erased = zeros == 0
    assert torch.equal(y[~erased], x[~erased])
    assert stats.kstest(y[erased].double(), "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smallest": 0.0}, "0 < smallest <= largest <= 1, got 0.0, 0.4"),
        ({"smallest": 0.5}, "0 < smallest <= largest <= 1, got 0.5, 0.4"),
        ({"largest": 1.5}, "0 < smallest <= largest <= 1, got 0.02, 1.5"),
        ({"aspect": 0.0}, r"aspect must be in \(0, 1\], got 0.0"),
        ({"aspect": 3.0}, r"aspect must be in \(0, 1\], got 3.0"),
        ({"fill": "mean"}, "fill must be 'zeros' or 'noise', got 'mean'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(OptionError, match=message):
        random_erasing(torch.ones(1, 1, 4, 4), 0.5, training=True, **options)


def test_another_rank_is_refused():
    with pytest.raises(ShapeError, match=r"random_erasing needs shape \(N, C, H, W\), got \(3, 8, 8\)"):
        random_erasing(torch.ones(3, 8, 8), 0.5, training=True)
