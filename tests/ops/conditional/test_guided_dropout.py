"""Laws of dropkit.ops.guided_dropout."""

import pytest
import torch

from dropkit.core import OptionError, ShapeError
from dropkit.ops import guided_dropout
from dropkit.ops.conditional.guided_dropout import active_units
from tests.laws import assert_frequency, assert_independent

STRENGTH = torch.tensor([0.101, 0.105, 0.102, -0.9, 0.5, 1.0])  # the first three share a bin


def test_the_inactive_region_is_the_fullest_bin():
    assert active_units(STRENGTH).tolist() == [False, False, False, True, True, True]
    assert not active_units(torch.full((5,), 0.3)).any()
    assert not active_units(torch.zeros(5)).any()
    assert active_units(torch.tensor([0.0, 1.0, 1.0])).tolist() == [True, False, False]


@pytest.mark.parametrize("rate", [0.1, 0.6])
def test_active_units_are_dropped_at_the_rate_and_others_never(rate, rng):
    x = torch.linspace(1, 2, 20_000 * 6).view(20_000, 6)
    y = guided_dropout(x, rate, STRENGTH, training=True, generator=rng)
    assert torch.equal(y[:, :3], x[:, :3])
    for unit in (3, 4, 5):
        gone = y[:, unit] == 0
        assert_frequency(gone, rate)
        torch.testing.assert_close(y[~gone, unit], x[~gone, unit] / (1 - rate))
    assert_independent(y[:, 3] == 0, y[:, 4] == 0, rate)


def test_a_coin_covers_a_unit_of_a_sample_wherever_its_axis_is(rng):
    x = torch.ones(5000, 4, 6)
    y = guided_dropout(x, 0.5, STRENGTH, training=True, axis=-1, generator=rng)
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert_frequency(y[:, 0, 5] == 0, 0.5)


@pytest.mark.parametrize(
    ("rate", "gone"), [(0.0, []), (0.16, []), (0.17, [5]), (0.5, [3, 4, 5]), (1.0, range(6))]
)
def test_top_drops_the_strongest(rate, gone):
    x = torch.full((3, 6), float("inf"))
    y = guided_dropout(x, rate, STRENGTH, training=True, pick="top")
    expected = x.clone()
    expected[:, list(gone)] = 0.0
    assert torch.equal(y, expected)


def test_no_gradient_reaches_the_strength():
    strength = STRENGTH.clone().requires_grad_()
    for pick in ("region", "top"):
        assert not guided_dropout(torch.ones(3, 6), 0.5, strength, training=True, pick=pick).requires_grad


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(OptionError, match="pick must be 'region' or 'top', got 'all'"):
        guided_dropout(torch.ones(3, 6), 0.5, STRENGTH, training=False, pick="all")
    with pytest.raises(ShapeError, match=r"has 6 units along axis 1, got an input of shape \(3, 5\)"):
        guided_dropout(torch.ones(3, 5), 0.5, STRENGTH, training=False)
    with pytest.raises(ShapeError, match=r"along axis 2, got an input of shape \(3, 6\)"):
        guided_dropout(torch.ones(3, 6), 0.5, STRENGTH, training=True, axis=2)
