"""The dropout that a model already has, on dropkit: the same law and rate at every site, and nothing else changed."""

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit import ops
from dropkit.core import NoMatchError, PlanError

from .models import CNN, MLP, DropPath, Inner, Mixed, assert_same, snapshot, streamed

VALUE = -1.7580993408473766


def alpha(rate):
    a = ((1 - rate) * (1 + rate * VALUE**2)) ** -0.5
    return a, -a * rate * VALUE


# What is refused, or left -------------------------------------------------------------------------------------


def test_accelerating_twice_raises_and_after_reverting_does_not():
    model = Mixed()
    applied = dk.accelerate(model)
    state = snapshot(model)
    for part in (model, model.inner, nn.Sequential(model)):
        with pytest.raises(PlanError, match="accelerated already; revert that first"):
            dk.accelerate(part)
    assert_same(state, snapshot(model))
    applied.revert()
    dk.accelerate(model).revert()


@pytest.mark.parametrize("make", [MLP, CNN, lambda: nn.Linear(2, 2), lambda: nn.LSTM(2, 2, 2)])
def test_a_model_without_dropout_raises_and_stays_as_it_is(make):
    model = make()
    before = snapshot(model)
    with pytest.raises(
        NoMatchError, match=r"no dropout module.*pass example_inputs=.*dropkit.plan"
    ) as caught:
        dk.accelerate(model)
    assert "\n" not in str(caught.value)
    assert_same(before, snapshot(model))


def test_only_a_module_is_taken():
    with pytest.raises(PlanError, match=r"must be a torch\.nn\.Module"):
        dk.accelerate("model")


def test_an_example_tells_the_sites_beforehand_or_that_there_are_none(rng):
    x = torch.randn(3, 6, generator=rng)
    model = Mixed()
    state, flags = torch.get_rng_state(), [module.training for module in model.modules()]
    with dk.accelerate(model, example_inputs=x) as applied:
        names = [site.id for site in applied.sites]
        assert names == ["drop", ":dropout#0", "inner:dropout#0", ":dropout#1"]
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == flags
    model = MLP()
    before = snapshot(model)
    with pytest.raises(NoMatchError, match="dropped nothing on example_inputs"):
        dk.accelerate(model, example_inputs=x)
    assert_same(before, snapshot(model))
    with pytest.raises(PlanError, match="fails on example_inputs"):
        dk.accelerate(Mixed(), example_inputs=torch.ones(3, 7))


def test_an_example_finds_what_names_do_not_lead_to():
    class Roundabout(nn.Module):
        def forward(self, x):
            return getattr(F, "drop" + "out")(x, 0.5)

    model, x = Roundabout(), torch.ones(50)
    with pytest.raises(NoMatchError, match="its code names no function that drops"):
        dk.accelerate(model)
    with dk.accelerate(model, example_inputs=x) as applied:
        assert [site.id for site in applied.sites] == [":dropout#0"]
        y = streamed(model, x)
    assert torch.equal(y, streamed(ops.dropout, x, 0.5, training=True, site=":dropout#0"))


class DropBlock(nn.Module):
    def forward(self, x):
        return x * (torch.rand_like(x) > 0.1)


def test_what_draws_by_hand_is_left_and_listed(rng):
    model, x = nn.Sequential(DropPath(0.5), DropBlock(), nn.Dropout(0.5)), torch.ones(40, 6)
    with dk.accelerate(model) as applied:
        assert applied.skipped == ()  # not called yet
        y = model(x)
        assert [(s.id, s.reason[:28]) for s in applied.skipped] == [
            ("0:bernoulli#0", "it draws random numbers itse"),
            ("1:rand_like#0", "it draws random numbers itse"),
        ]
        assert [site.id for site in applied.sites] == ["2"]
        assert "skipped: '0:bernoulli#0', it draws" in str(applied)
    assert (y == 0).all(1).any()
    path = DropPath(0.5)
    with pytest.raises(NoMatchError, match=r"dropped nothing|':bernoulli#0': it draws random numbers"):
        dk.accelerate(path, example_inputs=x)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.ones(50, dtype=torch.complex64), "its input is torch.complex64"),
        (
            lambda: torch.nested.nested_tensor([torch.ones(50)], layout=torch.strided),
            "its input is no dense tensor",
        ),
        (lambda: torch.ones(50).to(torch.float8_e5m2), "its input is torch.float8_e5m2"),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_inputs_that_dropkit_does_not_know_are_left_to_torch_and_listed(make, reason):
    model, x = nn.Sequential(nn.Dropout(0.5), Inner(0.5)), make()

    def run():
        torch.manual_seed(1)
        try:
            return model(x)
        except RuntimeError as error:
            return str(error)

    expected = run()
    with dk.accelerate(model) as applied:
        found = run()
        assert applied.skipped[0] == ("0", reason)
        assert applied.sites == ()
        if isinstance(expected, str):
            assert found == expected  # nor does torch
        else:
            assert applied.skipped[1] == ("1:dropout#0", reason)
            equal = torch.equal if not x.is_nested else (lambda a, b: torch.equal(a[0], b[0]))
            assert equal(found, expected)


def test_a_tensor_of_another_class_keeps_its_own_dropout():
    class Own(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func is F.dropout:
                return "own"
            return super().__torch_function__(func, types, args, kwargs)

    model = nn.Sequential(nn.Dropout(0.5))
    with dk.accelerate(model) as applied:
        assert model(torch.ones(3).as_subclass(Own)) == "own"
        assert applied.skipped == (("0", "its input is a Own"),)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_listed_or_refused():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5)))
    reason = "it is TorchScript; accelerate the Python model it was made from"
    with dk.accelerate(nn.Sequential(scripted, nn.Dropout(0.5))) as applied:
        assert applied.skipped == (("0", reason),)
        assert [site.id for site in applied.sites] == ["1"]
    with pytest.raises(NoMatchError, match=f"none of the model's dropout can be reached: '': {reason}"):
        dk.accelerate(scripted)


def test_data_parallel_on_several_devices_is_refused():
    wrapped = nn.DataParallel(Mixed())
    dk.accelerate(wrapped).revert()
    wrapped.device_ids = [0, 1]
    with pytest.raises(PlanError, match="replicas of DataParallel; use DistributedDataParallel"):
        dk.accelerate(wrapped)


def test_a_forward_that_was_replaced_is_wrapped_and_given_back(rng):
    model, x = nn.Sequential(nn.Linear(6, 6)), torch.randn(50, 6, generator=rng)
    model[0].forward = replaced = lambda x: F.dropout(x, 0.5)
    with dk.accelerate(model) as applied:
        y = streamed(model, x)
        assert [site.id for site in applied.sites] == ["0:dropout#0"]
    assert torch.equal(y, streamed(ops.dropout, x, 0.5, training=True, site="0:dropout#0"))
    assert model[0].__dict__["forward"] is replaced
    model = nn.Sequential(nn.Dropout(0.5))
    applied = dk.accelerate(model)
    ours, model[0].forward = model[0].forward, replaced
    with pytest.raises(PlanError, match="the forward of a Dropout was replaced after the acceleration"):
        applied.revert()
    assert applied.active
    model[0].forward = ours
    applied.revert()
    assert "forward" not in model[0].__dict__


def test_an_error_in_forward_leaves_no_mode_behind():
    model = Mixed()
    with dk.accelerate(model):
        for bad in (torch.zeros(1, 7), "text"):
            with pytest.raises((RuntimeError, TypeError)):
                model(bad)
        assert not torch.overrides._get_current_function_mode_stack()
        assert model(torch.ones(1, 6)).shape == (1, 6)


def test_a_mode_of_the_users_own_sees_what_it_saw_but_not_what_ops_are_made_of(rng):
    class Watching(torch.overrides.TorchFunctionMode):
        def __init__(self):
            super().__init__()
            self.seen = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.seen.append(func)
            return func(*args, **(kwargs or {}))

    model, x = Mixed(), torch.randn(50, 6, generator=rng)
    with dk.accelerate(model):
        expected = streamed(model, x)
        with Watching() as watching:
            assert torch.equal(streamed(model, x), expected)
    assert F.linear in watching.seen
    assert torch.empty_like not in watching.seen


def test_a_thousand_cycles_leak_nothing():
    model, x = Mixed(), torch.ones(2, 6)
    before = snapshot(model)
    dk.accelerate(model).revert()
    gc.collect()
    count = len(gc.get_objects())
    for _ in range(1000):
        with dk.accelerate(model):
            pass
    gc.collect()
    assert len(gc.get_objects()) - count < 100
    assert_same(before, snapshot(model))
    dk.accelerate(model)
    model(x)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_it_is_all_or_nothing(monkeypatch):
    model = Mixed()
    before = snapshot(model)
    monkeypatch.setattr("dropkit.surgery.accelerating.Taking", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dk.accelerate(model)
    assert_same(before, snapshot(model))
