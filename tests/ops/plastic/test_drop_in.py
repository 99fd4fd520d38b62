"""Laws of dropkit.ops.drop_in."""

import pytest
import torch

from dropkit.core import ShapeError
from dropkit.ops import drop_in
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_each_unit_is_new_or_with_the_rate_old(rate, rng):
    new, old = torch.full((30_000, 2), float("inf")), torch.linspace(0, 1, 60_000).view(30_000, 2)
    y = drop_in(new, rate, old, training=True, generator=rng)
    is_old = y == old
    assert (is_old ^ (y == new)).all()
    assert_frequency(is_old, rate)
    assert_independent(is_old[:, 0], is_old[:, 1], rate)


def test_eval_mode_is_the_mean_of_training(rng):
    new, old = torch.tensor([4.0, -1.0]), torch.tensor([0.0, 3.0])
    torch.testing.assert_close(drop_in(new, 0.25, old, training=False), torch.tensor([3.0, 0.0]))
    torch.testing.assert_close(
        drop_in(new, torch.tensor([0.25, 1.0]), old, training=False), torch.tensor([3.0, 3.0])
    )


@pytest.mark.parametrize("training", [True, False])
def test_the_ends_are_the_one_and_the_other(training):
    new, old = torch.full((3,), float("nan")), torch.ones(3)
    assert drop_in(new, 0.0, old, training=False) is new
    assert torch.equal(drop_in(new, 1.0, old, training=training), old)
    assert drop_in(new, 0.0, old, training=training).isnan().all()


def test_gradients_go_where_the_unit_came_from(rng):
    new, old = torch.ones(200, requires_grad=True), torch.zeros(200, requires_grad=True)
    y = drop_in(new, 0.5, old, training=True, generator=rng)
    y.sum().backward()
    assert torch.equal(new.grad, (y == 1).float())
    assert torch.equal(old.grad, (y == 0).float())
    assert 0 < new.grad.sum() < 200


def test_a_layer_that_changes_the_shape_is_refused():
    with pytest.raises(ShapeError, match=r"keeps the shape, got \(2, 3\) in and \(2, 4\) out"):
        drop_in(torch.ones(2, 4), 0.5, torch.ones(2, 3), training=True)
