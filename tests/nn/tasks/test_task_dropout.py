"""Laws of dropkit.nn.TaskDropout. See tests/README.md for the false-alarm budget."""

import copy

import pytest
import torch

from dropkit.core import OptionError, RateError
from dropkit.nn import TaskDropout
from dropkit.random import Schedule, stream
from tests.laws import assert_frequency


def made(seed, rate=0.5, tasks=3, units=12):
    with stream(seed):
        return TaskDropout(rate, tasks, units, site="s")


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_each_task_keeps_its_share_of_the_units_and_loses_the_rest(rate, seed, rng):
    layer, x = made(seed, rate), torch.randn(5, 12, 2, generator=rng)
    kept = layer.kept()
    assert (kept.sum(1) == 12 - 12 * rate).all()
    for training in (True, False):
        layer.train(training)
        for task in range(3):
            expected = torch.where(kept[task].view(1, 12, 1), x, 0.0)
            assert torch.equal(layer(x, task), expected)


@pytest.mark.parametrize(("tasks", "units", "rate"), [(3, 12, 0.66), (5, 7, 0.7), (2, 9, 0.4), (12, 5, 0.8)])
def test_no_unit_is_left_out_by_all(tasks, units, rate, seed):
    for step in range(20):
        with stream(seed, step=step):
            layer = TaskDropout(rate, tasks, units)
        assert layer.kept().sum(1).unique().tolist() == [units - round(rate * units)]
        assert layer.kept().any(0).all()


def test_some_units_are_shared_and_some_are_private(seed):
    users = torch.cat([made(seed + k, 0.5, 3, 12).kept().sum(0) for k in range(20)])
    assert set(users.tolist()) == {1, 2, 3}


def test_every_unit_is_as_likely_as_another(seed):
    kept = torch.stack([made(seed + k, 0.5, 2, 6).kept()[0] for k in range(2000)])
    for unit in range(6):
        assert_frequency(kept[:, unit], 0.5)


def test_a_higher_rate_drops_more_and_nothing_less(seed):
    layer = made(seed)
    before = torch.ones(3, 12, dtype=torch.bool)
    for rate in (0.0, 0.1, 0.4, 0.6, 0.9, 1.0):
        layer.rate = rate
        kept = layer.kept()
        assert not (kept & ~before).any()
        before = kept
    assert not before.any()


def test_masks_are_those_of_the_seed_and_stay(seed):
    assert torch.equal(made(seed).kept(), made(seed).kept())
    assert any(not torch.equal(made(seed).kept(), made(seed + k).kept()) for k in range(1, 20))
    layer = made(seed)
    expected = layer.kept()
    layer(torch.ones(2, 12), 0)
    assert torch.equal(layer.kept(), expected)
    other = TaskDropout(0.5, 3, 12)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.kept(), expected)


def test_units_of_other_tasks_have_no_gradient(seed):
    layer, x = made(seed), torch.ones(2, 12, requires_grad=True)
    layer(x, 1).sum().backward()
    assert torch.equal(x.grad, layer.kept()[1].float().expand(2, 12))


def test_roaming_swaps_one_unit_a_task_until_each_task_has_had_all(seed):
    layer = made(seed, 0.5)
    seen = layer.kept()
    with stream(seed):
        for _ in range(6):
            before = layer.kept()
            layer.roam()
            after = layer.kept()
            assert (after.sum(1) == 6).all()
            joined, left = after & ~before, before & ~after
            assert (joined.sum(1) == 1).all()
            assert (left.sum(1) == 1).all()
            assert not (joined & seen).any()
            seen = seen | after
            assert torch.equal(layer.visited, seen)
        assert seen.all()
        before = layer.kept()
        layer.roam()
        assert torch.equal(layer.kept(), before)  # nothing is left to see


def test_roaming_is_decided_by_the_stream(seed):
    def roamed(step):
        layer = made(seed, 0.5, 3, 40)
        with stream(seed, step=step):
            layer.roam()
        return layer.kept()

    assert torch.equal(roamed(1), roamed(1))
    assert any(not torch.equal(roamed(1), roamed(step)) for step in range(2, 20))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_there_is_nothing_to_swap_where_all_or_none_are_kept(rate, seed):
    layer = made(seed, rate)
    order = layer.order.clone()
    layer.roam()
    assert torch.equal(layer.order, order)


def test_the_rate_may_be_a_schedule_or_a_number_in_a_tensor(seed):
    class Ramp(Schedule):
        def at(self, step):
            return step / 4

    layer = made(seed, Ramp())
    with stream(seed, step=3):
        assert (layer.kept().sum(1) == 3).all()
    twin = copy.deepcopy(layer)
    twin.rate = torch.tensor(0.75)
    with stream(seed, step=3):
        assert torch.equal(twin.kept(), layer.kept())


def test_it_prints_what_it_was_made_of_and_refuses_what_is_not_legal():
    assert repr(TaskDropout(0.25, 3, 6)) == "TaskDropout(rate=0.25, tasks=3, units=6)"
    for name in ("tasks", "units"):
        for value in (0, -1, 1.0, True):
            with pytest.raises(OptionError, match=f"{name} must be a positive int, got {value!r}"):
                TaskDropout(0.5, **{"tasks": 2, "units": 3, name: value})
    with pytest.raises(RateError, match="rate must be"):
        TaskDropout(1.5, 2, 3)
