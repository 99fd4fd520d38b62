"""Laws of dropkit.ops.concrete_dropout and its forms for maps."""

import math

import pytest
import torch

from dropkit.core import DtypeError, OptionError, RateError, ShapeError
from dropkit.ops import concrete_dropout, concrete_dropout1d, concrete_dropout2d, concrete_dropout3d
from dropkit.ops.draws import draw_uniform
from dropkit.random import stream
from tests.laws import assert_frequency, assert_independent

MAPS = [
    pytest.param(concrete_dropout1d, (400, 30, 3), id="1d"),
    pytest.param(concrete_dropout2d, (400, 30, 3, 2), id="2d"),
    pytest.param(concrete_dropout3d, (400, 30, 2, 2, 2), id="3d"),
]


def dropped(y, rate):
    """Return where the relaxed mask drops more than it keeps, for an input of ones."""
    return y * (1 - rate) < 0.5


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("temperature", [0.1, 2 / 3])
def test_the_mask_is_above_a_half_with_the_rate(rate, temperature, rng):
    y = concrete_dropout(torch.ones(100_000), rate, training=True, temperature=temperature, generator=rng)
    assert_frequency(dropped(y, rate), rate)


@pytest.mark.parametrize("rate", [0.1, 0.7])
@pytest.mark.parametrize("temperature", [0.1, 2.0])
def test_each_element_has_the_factor_of_its_uniform_number(rate, temperature, seed):
    x = torch.linspace(-2, 2, 3000, dtype=torch.float64)
    with stream(seed):
        y = concrete_dropout(x, rate, training=True, temperature=temperature, site="a")
    with stream(seed):
        u = draw_uniform(x.shape, x.device, generator=None, site="a")
    z = [
        1 / (1 + math.exp(-(math.log(rate / (1 - rate)) + math.log(v / (1 - v))) / temperature))
        for v in u.tolist()
    ]
    torch.testing.assert_close(
        y, x * (1 - torch.tensor(z, dtype=torch.float64)) / (1 - rate), rtol=1e-9, atol=1e-12
    )


def test_a_low_temperature_gives_hard_masks(rng):
    y = concrete_dropout(torch.ones(100_000), 0.3, training=True, temperature=1e-4, generator=rng)
    kept = (y - 1 / 0.7).abs() < 1e-5
    assert_frequency(~kept, 0.3)
    assert (y[~kept] < 1e-5).double().mean() > 0.99


def test_gradients_reach_the_rate(seed):
    x = torch.linspace(0.5, 2, 50, dtype=torch.float64)

    def output(rate):
        with stream(seed):
            return concrete_dropout(x, rate, training=True, temperature=0.5)

    for shape in ((), (50,)):
        rate = torch.full(shape, 0.3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(output, rate)
    rate = torch.tensor(0.3, requires_grad=True)
    output(rate).sum().backward()
    assert rate.grad.abs() > 1e-3


@pytest.mark.parametrize(("op", "shape"), MAPS)
def test_one_factor_covers_a_channel(op, shape, rng):
    y = op(torch.ones(shape), 0.4, training=True, generator=rng).flatten(2)
    assert torch.equal(y, y[..., :1].expand_as(y))
    mask = dropped(y[..., 0], 0.4)
    assert_frequency(mask, 0.4)
    assert_independent(mask[1:], mask[:-1], 0.4)
    assert_independent(mask[:, 1:], mask[:, :-1], 0.4)


def test_channels_may_have_a_rate_each(rng):
    rates = torch.tensor([0.1, 0.5, 0.8]).view(3, 1, 1)
    y = concrete_dropout2d(torch.ones(20_000, 3, 2, 2), rates, training=True, generator=rng)
    for channel, rate in enumerate((0.1, 0.5, 0.8)):
        assert_frequency(dropped(y[:, channel, 0, 0], rate), rate)


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_infinite_input_gives_no_nan(value, rng):
    y = concrete_dropout(torch.full((100_000,), value), 0.5, training=True, generator=rng)
    assert (y == value).all()


def test_tensor_rates_at_the_ends_are_finite(rng):
    rate = torch.tensor([0.0, 1.0], requires_grad=True)
    y = concrete_dropout(torch.ones(500, 2), rate, training=True, generator=rng)
    y.sum().backward()
    torch.testing.assert_close(y[:, 0], torch.ones(500))
    assert y[:, 1].abs().max() < 1e-5
    assert rate.grad.isfinite().all()


def test_it_refuses_what_it_cannot_use():
    x = torch.ones(2, 3)
    with pytest.raises(OptionError, match="temperature must be positive and finite, got 0"):
        concrete_dropout(x, 0.5, training=True, temperature=0.0)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got 1.5"):
        concrete_dropout(x, 1.5, training=False)
    with pytest.raises(DtypeError, match="floating-point"):
        concrete_dropout(x.long(), 0.5, training=True)
    for op, layout in (
        (concrete_dropout1d, r"\(N, C, L\)"),
        (concrete_dropout2d, r"\(N, C, H, W\)"),
        (concrete_dropout3d, r"\(N, C, D, H, W\)"),
    ):
        with pytest.raises(ShapeError, match=rf"needs shape {layout}, got \(2, 3\)"):
            op(x, 0.5, training=True)
