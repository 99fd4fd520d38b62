"""Models that are compiled, scripted, distributed or fused."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import dropkit as dk
from dropkit.core import PlanError

from .models import CNN, MLP, Block, Functional, Holder, assert_same, snapshot


def planned(model, at, x, **rule):
    return dk.plan(model, [dk.Rule(at=at, **{"rate": 0.5, **rule})], example_inputs=x)


class Small(nn.Module):
    """One site of each kind: a hook on an output, one on an input, and a function call."""

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, x):
        return F.relu(self.act(x))


@pytest.mark.parametrize("style", ["torch.compile", "module.compile", "compiled loop"])
def test_plans_take_effect_in_compiled_models_at_the_next_call(style):
    torch.compiler.reset()
    model, x = Small(), torch.ones(50, 6)
    plan = planned(model, ["hidden", "input"], x)
    assert [site.id for site in plan.sites] == ["act", ":relu#0", ":input"]
    with plan.apply(model), dk.random.stream(1):
        masked = model(x)
    target = call = model
    if style == "torch.compile":
        target = call = torch.compile(model, backend="eager", fullgraph=True)
    elif style == "module.compile":
        model.compile(backend="eager", fullgraph=True)
    else:
        call = torch.compile(lambda x: model(x), backend="eager", fullgraph=True)
    assert torch.equal(call(x), x)
    applied = plan.apply(target)  # after a first call
    assert applied.model is target
    with dk.random.stream(1):
        assert torch.equal(call(x), masked)
        assert not torch.equal(masked, x)
    model.eval()
    assert torch.equal(call(x), x)
    model.train()
    applied.revert()
    assert torch.equal(call(x), x)


@pytest.mark.parametrize("at", ["act", ":relu#0", "input"])
def test_each_kind_of_site_takes_effect_alone_in_a_compiled_model(at):
    torch.compiler.reset()
    model, x = Small(), torch.ones(50, 6)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    compiled(x)
    with planned(model, at, x, rate=1.0).apply(model):
        assert not compiled(x).any()
    assert torch.equal(compiled(x), x)


def test_a_plan_may_be_attached_before_compiling():
    torch.compiler.reset()
    model, x = Small(), torch.ones(50, 6)
    with planned(model, ["hidden", "input"], x).apply(model):
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        with dk.random.stream(1):
            expected = model(x)
        with dk.random.stream(1):
            assert torch.equal(compiled(x), expected)


def test_site_names_do_not_depend_on_compiling():
    model = Holder(MLP())
    sites = planned(model, "hidden", None).sites
    assert planned(torch.compile(model), "hidden", None).sites == sites
    model.inner = torch.compile(model.inner, backend="eager")
    assert planned(model, "hidden", torch.zeros(1, 6)).sites == sites


def test_steps_do_not_recompile():
    torch.compiler.reset()
    model, x = Small(), torch.ones(50, 6)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with planned(model, "hidden", None).apply(model), dk.random.stream(1) as stream:
        first = compiled(x)
        stream.advance()
        with torch.compiler.set_stance("fail_on_recompile"):
            assert not torch.equal(compiled(x), first)


def test_distributed_data_parallel_before_or_after(process_group, rng):
    model, x = Functional(), torch.randn(5, 6, generator=rng)
    plan = planned(model, ["hidden", "input"], x)
    with plan.apply(model), dk.random.stream(1):
        expected = model(x)
    wrapped = nn.parallel.DistributedDataParallel(model)
    assert planned(wrapped, ["hidden", "input"], x) == plan
    before = snapshot(model)
    with plan.apply(wrapped), dk.random.stream(1):
        found = wrapped(x)
        found.sum().backward()
    assert torch.equal(found, expected)
    assert_same(before, snapshot(model))
    plan.apply(model)
    with dk.random.stream(1):
        assert torch.equal(nn.parallel.DistributedDataParallel(model)(x), expected)


def test_data_parallel_is_looked_through_and_refused_where_it_would_replicate_calls(rng):
    model, x = Functional(), torch.randn(5, 6, generator=rng)
    wrapped = nn.DataParallel(model)
    plan = planned(wrapped, "hidden", x)
    assert plan == planned(model, "hidden", x)
    wrapped.device_ids = [0, 1]
    with pytest.raises(
        PlanError, match=r"cannot be reached in the replicas of DataParallel; use Distributed"
    ):
        plan.apply(wrapped)


@pytest.mark.parametrize("kind", ["script", "trace"])
@pytest.mark.parametrize("at", ["hidden", "fc", "Linear", "*net*"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_parts_are_refused_with_the_way_out(kind, at):
    inner = torch.jit.script(MLP()) if kind == "script" else torch.jit.trace(MLP(), torch.zeros(1, 6))
    text = r"site 'inner.net.* is inside a torch.jit.ScriptModule.* Python model it was made from.*except_="
    model = Holder(inner)
    with pytest.raises(PlanError, match=text):
        planned(model, at, None)
    model.act = nn.ReLU()
    assert [s.id for s in planned(model, "hidden", None, except_="inner.*").sites] == ["act"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_calls_inside_a_scripted_part_are_not_seen_and_the_plan_says_so():
    model = nn.Sequential(torch.jit.script(Block()), Small())
    plan = planned(model, "hidden", torch.zeros(1, 6))
    assert [site.id for site in plan.sites] == ["1.act", "1:relu#0"]
    assert plan.notes == ("activation functions called inside a torch.jit.ScriptModule were not seen",)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_plan_does_not_apply_to_the_scripted_form_of_its_model():
    model = MLP()
    plan = planned(model, ["hidden"], None)
    with pytest.raises(PlanError, match=r"inside a torch.jit.ScriptModule"):
        plan.apply(torch.jit.script(model))


def encoder():
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)


def test_the_fast_path_of_a_transformer_layer(rng, monkeypatch):
    layer, x = encoder(), torch.randn(3, 4, 8, generator=rng)
    fused = []
    original = torch._transformer_encoder_layer_fwd
    monkeypatch.setattr(
        torch, "_transformer_encoder_layer_fwd", lambda *a: fused.append(1) or original(*a), raising=True
    )

    def calls():
        fused.clear()
        with torch.no_grad():
            layer.eval()(x)
        layer.train()
        return len(fused)

    assert calls() == 1
    functional = planned(layer, "hidden", x)
    assert [s.id for s in functional.sites] == [":relu#0"]
    assert not functional.notes
    with functional.apply(layer):
        assert calls() == 1  # a function mode is entered in training only
        with dk.random.stream(1):
            assert not torch.equal(layer(x), layer(x))
    hooked = planned(layer, "linear1", None)
    assert hooked.notes == (
        "while applied, TransformerEncoderLayer '' does not take its fast path in eval mode",
    )
    with torch.no_grad():
        quick = layer.eval()(x)
    with hooked.apply(layer):
        assert calls() == 0
        with torch.no_grad():
            torch.testing.assert_close(layer.eval()(x), quick)
    assert calls() == 1


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpointed_modules_are_recomputed_with_the_same_masks(use_reentrant, rng):
    class Checkpointed(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return checkpoint(self.inner, x, use_reentrant=use_reentrant)

    inner, x = Functional(), torch.randn(5, 6, generator=rng).requires_grad_()
    gradients = []
    for model in (Holder(copy.deepcopy(inner)), Checkpointed(inner)):
        with planned(model, ["hidden", "inner"], x.detach()).apply(model), dk.random.stream(1):
            x.grad = None
            model(x).sum().backward()
            gradients.append([x.grad, *(parameter.grad for parameter in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_calls_in_a_checkpointed_part_of_a_forward_are_refused(use_reentrant, rng):
    class Partly(nn.Module):
        def forward(self, x):
            return F.relu(checkpoint(torch.relu, x, use_reentrant=use_reentrant))

    model, x = Partly(), torch.randn(5, 6, generator=rng).requires_grad_()
    with planned(model, ":relu#0", x.detach()).apply(model):
        with pytest.raises(PlanError, match="site ':relu#0' is inside a checkpointed part of a forward"):
            model(x)
        model.eval()(x).sum().backward()
        model.train()
    with planned(model, ":relu#1", x.detach(), rate=1.0).apply(model):
        assert not model(x).any()


def test_autocast(rng):
    model, x = CNN(), torch.randn(5, 1, 8, 8, generator=rng)
    with planned(model, ["hidden", "conv"], x).apply(model), torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype is torch.bfloat16
