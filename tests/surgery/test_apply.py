"""Apply and revert: what changes, what never does, and errors at the sites."""

import copy
import gc
import io
import pickle
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit.core import DtypeError, PlanError
from dropkit.surgery import attached
from dropkit.surgery.activations import FUNCTION_NAMES

from .models import (
    CNN,
    MLP,
    Block,
    Functional,
    Holder,
    Keywords,
    Named,
    Pair,
    Tokens,
    Twice,
    assert_same,
    snapshot,
)

IMAGE, ROW = (5, 1, 8, 8), (5, 6)
CASES = [
    (MLP, ROW, ["input", "hidden"]),
    (CNN, IMAGE, ["hidden", "conv", "BatchNorm2d"]),
    (Functional, ROW, ["hidden", "fc"]),
    (Twice, ROW, ["hidden", "input"]),
    (
        lambda: nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(6, 4)), nn.ReLU()), nn.Tanh()),
        ROW,
        "hidden",
    ),
    (lambda: nn.Linear(6, 4), ROW, ["Linear", "input"]),
    (nn.Tanh, ROW, "hidden"),
]


def planned(model, at, x, **rule):
    return dk.plan(model, [dk.Rule(at=at, **{"rate": 0.5, **rule})], example_inputs=x)


def outcome(model, x):
    """The output, and the gradients with respect to input and parameters, of a copy (batch norm moves)."""
    model, x = copy.deepcopy(model), x.clone().requires_grad_()
    y = model(x)
    y.sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in model.parameters() if p.grad is not None)]


def equal(a, b):
    return len(a) == len(b) and all(torch.equal(u, v) for u, v in zip(a, b, strict=True))


@pytest.mark.parametrize(("make", "shape", "at"), CASES)
def test_apply_then_revert_leaves_no_trace(make, shape, at, rng):
    model, x = make(), torch.randn(shape, generator=rng)
    model.register_forward_hook(lambda module, args, output: None)
    before, first = snapshot(model), outcome(model, x)
    applied = planned(model, at, x).apply(model)
    assert applied.active
    assert applied.model is model
    assert applied.sites == applied.plan.sites
    assert list(model.state_dict()) == [name for name, _, _ in before["tensors"]]
    assert not equal(outcome(model, x), first)
    model.eval()
    silent = outcome(model, x)
    model.train()
    applied.revert()
    assert not applied.active
    applied.revert()
    assert_same(before, snapshot(model))
    assert equal(outcome(model, x), first)
    assert equal(outcome(model.eval(), x), silent)  # attached, and in eval mode, it had done nothing


def test_the_context_manager_reverts_even_after_an_error():
    model = MLP()
    before = snapshot(model)
    applied = planned(model, "hidden", None).apply(model)
    assert applied.active
    assert "active" in repr(applied)
    with pytest.raises(ZeroDivisionError), applied:
        raise ZeroDivisionError
    assert not applied.active
    assert_same(before, snapshot(model))


def test_applying_twice_raises_and_after_revert_does_not():
    model = Functional()
    plan = planned(model, "hidden", torch.zeros(ROW))
    applied = plan.apply(model)
    state = snapshot(model)
    with pytest.raises(PlanError, match="already applied"):
        plan.apply(model)
    with pytest.raises(PlanError, match="site ':relu#0' already has 'dropout' from another plan"):
        planned(model, ":relu#0", torch.zeros(ROW), rate=0.1).apply(model)
    assert_same(state, snapshot(model))
    applied.revert()
    plan.apply(model).revert()


def test_two_plans_can_be_reverted_in_any_order(rng):
    model, x = Functional(), torch.randn(ROW, generator=rng)
    before = snapshot(model)
    first, second = planned(model, ":relu#0", x, rate=1.0), planned(model, ":tanh#0", x, rate=1.0)
    a, b = first.apply(model), second.apply(model)
    a.revert()
    assert torch.equal(model(x), model.two.bias.expand(5, 3))  # the second still drops everything
    a = first.apply(model)
    b.revert()
    with pytest.raises(PlanError, match="already applied"):
        first.apply(model)
    a.revert()
    assert_same(before, snapshot(model))


def test_apply_is_all_or_nothing(monkeypatch):
    model = Functional()
    plan = planned(model, ["hidden", "input"], torch.zeros(ROW))
    before = snapshot(model)
    count = 0

    def failing(self, *args, **kwargs):
        nonlocal count
        count += 1
        raise MemoryError

    monkeypatch.setattr("dropkit.surgery.calls.CallForward.add", failing)
    with pytest.raises(MemoryError):
        plan.apply(model)
    assert count == 1
    assert_same(before, snapshot(model))


def test_a_thousand_cycles_leak_nothing(rng):
    model, x = Functional(), torch.randn(ROW, generator=rng)
    plan = planned(model, ["hidden", "input"], x)
    before = snapshot(model)
    plan.apply(model).revert()
    gc.collect()
    count = len(gc.get_objects())
    for _ in range(1000):
        plan.apply(model).revert()
    gc.collect()
    assert len(gc.get_objects()) - count < 100
    assert_same(before, snapshot(model))
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_sites_follow_the_training_flag_of_what_they_are_attached_to(rng):
    x = torch.randn(ROW, generator=rng)
    model = Functional()
    plain = model(x)
    with planned(model, ["hidden", "input"], x).apply(model):
        model.eval()
        assert torch.equal(model(x), plain)
        model.blocks[0].train()
        assert not torch.equal(model(x), plain)  # gelu inside blocks.0 only
        model.train()
        model.act.eval()
    with planned(model, "act", x).apply(model):
        assert torch.equal(model(x), plain)
    with planned(model, ":tanh#0", x).apply(model):
        assert not torch.equal(model(x), plain)


def test_scaling_at_test_time_acts_in_eval_mode():
    x = torch.rand(ROW) + 1
    for model in (nn.ReLU(), Relu()):
        plan = planned(model, "hidden", x, rate=0.25, options={"scaling": "test"})
        with plan.apply(model.eval()):
            assert torch.equal(model(x), x * 0.75)


class Relu(nn.Module):
    def forward(self, x):
        return torch.relu(x)


def test_user_hooks_stay_and_see_their_turn(rng):
    model, seen = MLP(), []
    first = model.net[1].register_forward_hook(
        lambda m, a, out: seen.append((out == 0).float().mean().item())
    )
    applied = planned(model, "net.1", None, rate=1.0).apply(model)
    model.net[1].register_forward_hook(lambda m, a, out: seen.append((out == 0).float().mean().item()))
    model(torch.randn(64, 6, generator=rng))
    assert seen[0] < 1.0
    assert seen[1] == 1.0
    applied.revert()
    assert len(model.net[1]._forward_hooks) == 2
    assert first.id in model.net[1]._forward_hooks


def test_a_forward_that_was_replaced_is_given_back():
    model = Relu()
    model.forward = replaced = lambda x: torch.tanh(x)
    x = torch.ones(4, 4)
    with planned(model, "hidden", x, rate=1.0).apply(model):
        assert model.forward is not replaced
        assert not model(x).any()
    assert model.__dict__["forward"] is replaced
    applied = planned(model, "hidden", x).apply(model)
    ours, model.forward = model.forward, replaced
    with pytest.raises(PlanError, match="the forward of a Relu was replaced after the plan was applied"):
        applied.revert()
    assert applied.active
    model.forward = ours
    applied.revert()
    assert model.__dict__["forward"] is replaced


# What a site accepts ------------------------------------------------------------------------------------------


def test_the_first_tensor_of_a_tuple_is_dropped(rng):
    x = torch.randn(ROW, generator=rng)
    pair = Pair()
    with planned(pair, "Pair", None, rate=1.0).apply(pair):
        dropped, total = pair(x)
    assert not dropped.any()
    assert total == x.sum()
    lstm = nn.LSTM(6, 4)
    with planned(lstm, "LSTM", None, rate=1.0).apply(lstm):
        output, (hidden, _) = lstm(x)
    assert not output.any()
    assert hidden.any()


def test_named_tuples_keep_their_type():
    class Max(nn.Module):
        def forward(self, x):
            return x.max(0)  # a structure of torch's own

    model = Max()
    with planned(model, "Max", None, rate=1.0).apply(model):
        found = model(torch.ones(ROW))
    assert type(found) is torch.return_types.max
    assert not found.values.any()
    assert found.indices.shape == (6,)


@pytest.mark.parametrize(
    ("model", "at", "x", "error", "text"),
    [
        (Holder(Named()), "inner", torch.ones(2), PlanError, "site 'inner' returns a dict"),
        (
            Holder(nn.Identity()),
            "inner",
            (1, 2),
            PlanError,
            "site 'inner' returns a tuple that begins with int",
        ),
        (Holder(nn.Identity()), "inner", torch.ones(2).int(), DtypeError, "site 'inner' got torch.int32"),
        (Tokens(), "input", torch.tensor([1, 2]), DtypeError, "site ':input' got torch.int64"),
        (Holder(nn.Identity()), "input", "text", PlanError, "site ':input' was called without a tensor"),
    ],
)
def test_what_cannot_be_dropped_is_refused_by_name(model, at, x, error, text):
    with planned(model, at, None).apply(model), pytest.raises(error, match=text) as caught:
        model(x)
    assert "\n" not in str(caught.value)


def test_nothing_is_refused_where_nothing_acts():
    model, tokens = Tokens().eval(), torch.tensor([1, 2])
    plain = model(tokens)
    with planned(model, ["input", "Embedding"], None).apply(model):
        assert torch.equal(model(tokens), plain)
    holder = Holder(Named()).eval()
    with planned(holder, "inner", None).apply(holder):
        assert holder(plain)["out"] is plain


class Masked(nn.Module):
    def forward(self, x, mask):
        return x, mask


@pytest.mark.parametrize("mask", [torch.ones(100), torch.ones(100, dtype=torch.bool)])
def test_the_first_input_is_that_of_the_signature_however_keywords_are_ordered(mask):
    model = Masked()
    with planned(model, "input", None).apply(model):
        x, kept = model(mask=mask, x=torch.ones(100))
    assert (x == 0).any()
    assert torch.equal(kept, mask)


def test_inputs_given_by_keyword_are_dropped():
    model, x = Keywords(), torch.ones(ROW)
    for at, on in [("input", "output"), ("inner", "input")]:
        with planned(model, at, None, rate=1.0, on=on).apply(model):
            assert torch.equal(model(1.0, x=x), model.inner.bias.expand(5, 3))


# Function calls -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", sorted(FUNCTION_NAMES, key=repr), ids=lambda f: f.__qualname__)
@pytest.mark.parametrize("on", ["output", "input"])
def test_every_activation_function_is_reached_and_differentiable(function, on, rng):
    name = FUNCTION_NAMES[function]
    extra = {"prelu": (torch.tensor([0.1]),), "threshold": (0.1, 0.0)}.get(name, ())

    class Calls(nn.Module):
        def forward(self, x):
            return function(x * 1.0, *extra)

    model, x = Calls(), torch.randn(40, 6, generator=rng).requires_grad_()
    with planned(model, "hidden", x.detach(), on=on).apply(model) as applied:
        (site,) = applied.sites
        assert site.id == f":{name}#0" + (":input" if on == "input" else "")
        with dk.random.stream(1):
            y = model(x)
    with dk.random.stream(1):
        if on == "output":
            expected = dk.ops.dropout(model(x), 0.5, training=True, site=site.id)
        else:
            expected = model(dk.ops.dropout(x, 0.5, training=True, site=site.id))
    if name != "rrelu":  # which has noise of its own
        assert torch.equal(y, expected)
    y.sum().backward()


@pytest.mark.parametrize(
    "function",
    [
        F.relu,
        F.relu6,
        F.elu,
        F.selu,
        F.celu,
        F.silu,
        F.mish,
        F.hardswish,
        F.hardsigmoid,
        F.hardtanh,
        F.leaky_relu,
    ],
)
def test_activations_in_place_drop_in_place(function, rng):
    class Statement(nn.Module):
        def forward(self, x):
            h = x * 1.0
            function(h, inplace=True)
            return h

    model, x = Statement(), torch.randn(40, 6, generator=rng).requires_grad_()
    plain = model(x)
    with planned(model, "hidden", x.detach()).apply(model) as applied, dk.random.stream(1):
        y = model(x)
        (site,) = applied.sites
    with dk.random.stream(1):
        expected = dk.ops.dropout(plain, 0.5, training=True, site=site.id)
    assert torch.equal(y, expected)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, torch.autograd.grad(expected.sum(), x)[0])


def test_calls_are_counted_in_the_module_that_makes_them(rng):
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Relu()
            self.act = nn.ReLU()

        def forward(self, x):
            return torch.relu(self.act(self.inner(torch.relu(x))))

    model, x = Deep(), torch.rand(ROW, generator=rng) + 1
    assert [s.id for s in planned(model, "hidden", x).sites] == ["act", ":relu#0", "inner:relu#0", ":relu#1"]
    with planned(model, ":relu#1", x).apply(model) as applied:  # neither inner's call nor act's is number 1
        with dk.random.stream(1):
            y = model(x)
        with dk.random.stream(1):
            assert torch.equal(y, dk.ops.dropout(x, 0.5, training=True, site=applied.sites[0].id))
        model.eval()
        model.inner.train()
        assert torch.equal(model(x), x)


def test_calls_made_by_hooks_belong_to_the_module_around():
    model, x = Holder(Relu()), torch.ones(ROW)
    model.inner.register_forward_pre_hook(lambda module, args: torch.tanh(*args))
    model.inner.register_forward_hook(lambda module, args, output: torch.sigmoid(output))
    plan = planned(model, "hidden", x)
    assert [site.id for site in plan.sites] == [":tanh#0", "inner:relu#0", ":sigmoid#0"]
    with planned(model, ":sigmoid#0", x, rate=1.0).apply(model):
        assert not model(x).any()
        assert model.inner(x).all()


def test_input_and_output_of_one_call_can_both_be_dropped(rng):
    model, x = Relu(), torch.rand(ROW, generator=rng) + 1
    rules = [dk.Rule(at="hidden", rate=0.2), dk.Rule(at="hidden", rate=0.5, on="input")]
    with dk.plan(model, rules, example_inputs=x).apply(model), dk.random.stream(1):
        y = model(x)
    with dk.random.stream(1):
        dropped = dk.ops.dropout(x, 0.5, training=True, site=":relu#0:input")
        assert torch.equal(y, dk.ops.dropout(dropped, 0.2, training=True, site=":relu#0"))


def test_a_part_called_without_the_whole_is_dropped_too():
    model, x = Functional(), torch.ones(ROW)
    with planned(model, "blocks.0:gelu#0", x, rate=1.0).apply(model):
        assert torch.equal(model.blocks[0](x), x)


def test_an_error_in_forward_leaves_no_mode_behind():
    model, x = Block(), torch.zeros(1, 6)
    with planned(model, "hidden", x).apply(model):
        for bad in (torch.zeros(1, 7), "text"):
            with pytest.raises((RuntimeError, TypeError)):
                model(bad)
        assert not torch.overrides._get_current_function_mode_stack()


# Copies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
def test_copies_carry_the_plan_and_are_independent(how, rng):
    model, x = Functional(), torch.randn(ROW, generator=rng)
    plain = model(x)
    applied = planned(model, ["hidden", "input"], x).apply(model)
    if how == "deepcopy":
        other = copy.deepcopy(model)
    elif how == "pickle":
        other = pickle.loads(pickle.dumps(model))
    else:
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        other = torch.load(buffer, weights_only=False)
    applied.revert()
    assert torch.equal(model(x), plain)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # the copy must not lean on the original
    with dk.random.stream(1):
        masked = other(x)
    (handle,) = attached(other)
    assert handle.plan == applied.plan
    assert not torch.equal(masked, plain)
    with pytest.raises(PlanError, match="already applied"):
        applied.plan.apply(other)
    handle.revert()
    assert torch.equal(other(x), plain)
    assert not attached(other)
    assert "forward" not in other.__dict__
    with applied.plan.apply(other), dk.random.stream(1):
        assert torch.equal(other(x), masked)


def test_the_signature_of_forward_is_still_seen():
    import inspect

    model = Relu()
    with planned(model, "hidden", torch.ones(1)).apply(model):
        assert list(inspect.signature(model.forward).parameters) == ["x"]
