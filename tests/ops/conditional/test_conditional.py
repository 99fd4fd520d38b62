"""Laws of dropkit.ops.conditional."""

import pytest
import torch

from dropkit.core import OptionError, RateError, ShapeError
from dropkit.ops import concrete_dropout, conditional, drop_path, dropout, spatial_dropout2d
from dropkit.random import stream
from tests.laws import assert_frequency


def under(seed, op, x, rate, **options):
    with stream(seed):
        return op(x, rate, training=True, site="a", **options)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_equal_rates_are_dropout_drop_path_and_spatial_dropout_bit_for_bit(rate, seed):
    x = torch.linspace(-2, 2, 20 * 3 * 4 * 5).view(20, 3, 4, 5)
    for shape, plain in (((20, 3, 4, 5), dropout), ((20, 3), spatial_dropout2d), ((20,), drop_path)):
        rates = torch.full(shape, rate, dtype=torch.float64)
        assert torch.equal(under(seed, conditional, x, rates), under(seed, plain, x, rate))
    assert torch.equal(under(seed, conditional, x, rate), under(seed, dropout, x, rate))


def test_each_sample_has_its_own_rate(rng):
    rates = torch.tensor([0.0, 0.2, 0.7, 1.0])
    x = torch.ones(4, 50_000)
    y = conditional(x, rates.view(4, 1).expand(4, 50_000), training=True, generator=rng)
    assert torch.equal(y[0], x[0])
    assert not y[3].any()
    for row, rate in ((1, 0.2), (2, 0.7)):
        assert_frequency(y[row] == 0, rate)
        assert set(y[row].unique().tolist()) == {0.0, (torch.tensor(1.0) / (1 - rates[row])).item()}


def test_rates_of_one_row_are_shared_but_coins_are_not(rng):
    y = conditional(torch.ones(50_000, 2), torch.tensor([[0.3, 0.8]]), training=True, generator=rng)
    assert_frequency(y[:, 0] == 0, 0.3)
    assert_frequency(y[:, 1] == 0, 0.8)


def test_only_relaxed_masks_let_gradients_through(seed):
    x = torch.linspace(0.5, 2, 60, dtype=torch.float64).view(20, 3)
    rates = torch.full((20, 3), 0.3, dtype=torch.float64, requires_grad=True)
    assert not under(seed, conditional, x, rates).requires_grad
    relaxed = under(seed, conditional, x, rates, relaxed=True, temperature=0.5)
    assert torch.equal(relaxed, under(seed, concrete_dropout, x, rates, temperature=0.5))
    relaxed.sum().backward()
    assert (rates.grad != 0).all()


def test_it_refuses_what_it_cannot_use():
    x = torch.ones(4, 3)
    for shape in ((3,), (4, 2), (4, 3, 1)):
        with pytest.raises(ShapeError, match="do not broadcast over an input of shape"):
            conditional(x, torch.zeros(shape), training=True)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got a tensor with"):
        conditional(x, torch.full((4,), 1.5), training=True)
    with pytest.raises(OptionError, match="temperature must be positive"):
        conditional(x, 0.5, training=True, temperature=-1.0)
