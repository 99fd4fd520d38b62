"""Accelerated models that are compiled, copied, checkpointed, distributed, or have plans attached as well."""

import copy
import inspect
import io
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import dropkit as dk
from dropkit.core import PlanError
from dropkit.surgery import attached

from .models import assert_same, snapshot
from .test_accelerating import Inner, Mixed, by_hand, streamed
from .test_accelerating_attention import Attends, encoder


class Everything(nn.Module):
    """One of each kind of site that compiles in one piece."""

    def __init__(self):
        super().__init__()
        self.mixed = Mixed()
        self.widen = nn.Linear(6, 8)
        self.encoder = encoder(layers=1)
        self.attends = Attends()
        self.channels = nn.Dropout1d(0.2)
        self.saturated = nn.FeatureAlphaDropout(0.2)

    def forward(self, x):
        x = self.encoder(self.widen(self.mixed(x)))
        x = x.unflatten(2, (2, 4))
        x = self.attends(x, x, x).flatten(2)
        return F.dropout1d(self.saturated(self.channels(x)), 0.2, self.training)


def data(rng):
    return torch.randn(4, 5, 6, generator=rng)


@pytest.mark.parametrize("style", ["torch.compile", "module.compile", "compiled loop"])
def test_compiled_models_take_it_up_at_the_next_call_and_give_it_up(style, rng):
    torch.compiler.reset()
    model, x = Mixed(), data(rng)
    target = call = model
    if style == "torch.compile":
        target = call = torch.compile(model, backend="eager", fullgraph=True)
    elif style == "module.compile":
        model.compile(backend="eager", fullgraph=True)
    else:
        call = torch.compile(lambda x: model(x), backend="eager", fullgraph=True)
    expected = streamed(by_hand, model, x)

    def drops_as_torch_does():
        torch.manual_seed(1)
        first = call(x)
        torch.manual_seed(1)
        return not torch.equal(first, expected) and torch.equal(call(x), first)

    assert drops_as_torch_does()
    applied = dk.accelerate(target)
    assert applied.model is target
    assert torch.equal(streamed(call, x), expected)
    assert [site.id for site in applied.sites] == ["drop", ":dropout#0", "inner:dropout#0", ":dropout#1"]
    rates = [site.rate for site in applied.sites]
    assert rates[0] == 0.3
    assert all(map(math.isnan, rates[1:]))  # calls in compiled code
    with torch.compiler.set_stance("force_eager"):
        call(x)
    assert [site.rate for site in applied.sites] == [0.3] * 4
    model.eval()
    assert torch.equal(streamed(call, x), streamed(by_hand, model, x))
    model.train()
    applied.revert()
    assert not torch.equal(streamed(call, x), expected)
    assert drops_as_torch_does()


def test_every_kind_of_site_compiles_in_one_piece_with_the_same_masks(rng):
    torch.compiler.reset()
    model, x = Everything(), data(rng).requires_grad_()
    with dk.accelerate(model):
        expected = streamed(model, x)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        found = streamed(compiled, x)
        torch.testing.assert_close(found, expected)
        assert torch.equal(found == 0, expected == 0)
        wanted = torch.autograd.grad(expected.sum(), [x, *model.parameters()])
        torch.testing.assert_close(torch.autograd.grad(found.sum(), [x, *model.parameters()]), wanted)


def test_steps_do_not_recompile_and_rates_do(rng):
    torch.compiler.reset()
    model, x = Mixed(), data(rng)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with dk.accelerate(model), dk.random.stream(1) as stream:
        first = compiled(x)
        for _ in range(20):
            stream.advance()
            with torch.compiler.set_stance("fail_on_recompile"):
                assert not torch.equal(compiled(x), first)
        for rate in (0.6, 0.8):
            model.rate = model.drop.p = model.inner.rate = rate
            found = streamed(compiled, x)
            assert torch.equal(found, streamed(by_hand, model, x))


def test_in_place_dropout_compiles(rng):
    torch.compiler.reset()
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5, inplace=True))
    x = data(rng)
    with dk.accelerate(model):
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(streamed(compiled, x), streamed(model, x))


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the compiler, that recurrent modules break graphs
def test_graph_breaks_do_no_harm(rng):
    torch.compiler.reset()

    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.cell, self.two = Mixed(), nn.GRU(6, 6, 2, dropout=0.3), Inner(0.3)

        def forward(self, x):
            x = F.dropout(self.one(x), 0.3, self.training)
            torch._dynamo.graph_break()
            x, _ = self.cell(x)
            return F.dropout(self.two(x), 0.3, self.training)

    model, x = Broken(), data(rng)
    compiled = torch.compile(model, backend="eager")
    with dk.accelerate(model):
        for seed in range(5):
            assert torch.equal(streamed(compiled, x, seed=seed), streamed(model, x, seed=seed))


def test_compiled_parts_of_an_eager_model(rng):
    torch.compiler.reset()

    @torch.compile(backend="eager", fullgraph=True)
    def part(x):
        return F.dropout(x.unflatten(2, (2, 3)), 0.4).flatten(2)

    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.mixed = Mixed()
            self.mixed.compile(backend="eager", fullgraph=True)

        def forward(self, x):
            x = F.dropout(x, 0.2, self.training)
            return F.dropout(part(self.mixed(x)), 0.2, self.training)

    model, x = Partly(), data(rng)
    with dk.accelerate(model) as applied, torch.no_grad():
        for seed in range(3):
            with torch.compiler.set_stance("force_eager"):
                expected = streamed(model, x, seed=seed)
            with torch.compiler.set_stance("default" if seed == 0 else "fail_on_recompile"):
                assert torch.equal(streamed(model, x, seed=seed), expected)
    assert {":dropout#0", ":dropout#1", ":dropout#2"} < {site.id for site in applied.sites}


def test_what_is_left_to_torch_in_compiled_code_is_listed(rng):
    torch.compiler.reset()

    class Draws(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5) * torch.bernoulli(x.sigmoid())

    model, x = Draws(), data(rng)
    with dk.accelerate(model) as applied:
        torch.compile(model, backend="eager", fullgraph=True)(x)
        assert [site.id for site in applied.sites] == [":dropout#0"]
        assert [site.id for site in applied.skipped] == [":bernoulli#0"]


def test_export_of_an_accelerated_model_in_eval_mode(rng):
    model, x = encoder().eval(), torch.randn(3, 5, 8, generator=rng)
    with dk.accelerate(model):
        exported = torch.export.export(model, (x,))
        torch.testing.assert_close(exported.module()(x), model(x))


def test_the_audit_of_an_accelerated_model_is_that_of_the_model(rng):
    model, x = Everything(), data(rng)
    expected = dk.audit(model, x)
    with dk.accelerate(model, example_inputs=x) as applied:
        before = snapshot(model)
        assert dk.audit(model, x) == expected
        assert_same(before, snapshot(model))
        assert {site.id for site in applied.sites} == {site.id for site in expected.sites}
        y = streamed(model, x)
        assert torch.equal(streamed(model, x), y)


# Copies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
def test_copies_are_accelerated_and_independent(how, rng):
    model, x = Everything(), data(rng)
    before = snapshot(model)
    applied = dk.accelerate(model, example_inputs=x)
    expected = streamed(model, x)
    if how == "deepcopy":
        other = copy.deepcopy(model)
    elif how == "pickle":
        other = pickle.loads(pickle.dumps(model))
    else:
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        other = torch.load(buffer, weights_only=False)
    sites = applied.sites
    applied.revert()
    assert_same(before, snapshot(model))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # the copy must not lean on the original
    assert torch.equal(streamed(other, x), expected)
    (handle,) = attached(other)
    assert isinstance(handle, dk.surgery.Accelerated)
    assert handle.sites == sites
    with pytest.raises(PlanError, match="accelerated already"):
        dk.accelerate(other)
    handle.revert()
    assert not attached(other)
    assert not any("forward" in module.__dict__ for module in other.modules())
    assert not torch.equal(streamed(other, x), expected)


def test_state_dicts_load_both_ways():
    plain, model = Everything(), Everything()
    with dk.accelerate(model):
        model.load_state_dict(plain.state_dict())
        plain.load_state_dict(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), model.parameters(), strict=True))


def test_signatures_are_still_seen():
    model = nn.Sequential(nn.Dropout(0.5), Inner(0.5))
    with dk.accelerate(model):
        assert list(inspect.signature(model[0].forward).parameters) == ["input"]
        assert list(inspect.signature(model[1].forward).parameters) == ["x"]


# Checkpointing ------------------------------------------------------------------------------------------------


class Checkpointed(nn.Module):
    def __init__(self, inner, use_reentrant):
        super().__init__()
        self.inner = inner
        self.use_reentrant = use_reentrant

    def forward(self, x):
        return checkpoint(self.inner, x, use_reentrant=self.use_reentrant)


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("seeded", [True, False])
def test_checkpointed_modules_are_recomputed_with_the_same_masks(use_reentrant, seeded, rng):
    inner, x = Everything(), data(rng).requires_grad_()
    plain, model = nn.Sequential(), Checkpointed(inner, use_reentrant)
    plain.add_module("inner", copy.deepcopy(inner))
    gradients = []
    for each in (plain, model):
        dk.accelerate(each)
        torch.manual_seed(3)
        y = streamed(each, x) if seeded else each(x)
        y.sum().backward()
        gradients.append([y, x.grad, *(parameter.grad for parameter in each.parameters())])
        x.grad = None
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_calls_in_a_checkpointed_part_of_a_forward_are_left_to_torch_and_listed(use_reentrant, rng):
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            def part(x):
                return F.dropout(self.drop(x).tanh(), 0.5, self.training)

            return F.dropout(checkpoint(part, x, use_reentrant=use_reentrant), 0.5, self.training)

    model, x = Partly(), data(rng).requires_grad_()
    with dk.accelerate(model) as applied:
        torch.manual_seed(3)
        y = streamed(model, x)
        (gradient,) = torch.autograd.grad(y.sum(), x) if not use_reentrant else (None,)
        if use_reentrant:
            y.sum().backward()
            gradient = x.grad
        assert [site.id for site in applied.sites] == ["drop", ":dropout#1"]
        (skipped,) = applied.skipped
        assert skipped.id == ":dropout#0"
        assert "checkpointed part of a forward" in skipped.reason
    assert ((y == 0) == (gradient == 0)).all()  # the masks of the recomputation are those of the forward
    assert 0 < (y == 0).sum() < y.numel()


# Distributed --------------------------------------------------------------------------------------------------


def test_distributed_data_parallel_before_or_after(process_group, rng):
    model, x = Mixed(), data(rng)
    expected = streamed(by_hand, model, x)
    wrapped = nn.parallel.DistributedDataParallel(model)
    before = snapshot(model)
    with dk.accelerate(wrapped) as applied:
        found = streamed(wrapped, x)
        found.sum().backward()
        assert [site.id for site in applied.sites] == ["drop", ":dropout#0", "inner:dropout#0", ":dropout#1"]
    assert torch.equal(found, expected)
    assert_same(before, snapshot(model))
    dk.accelerate(model)
    assert torch.equal(streamed(nn.parallel.DistributedDataParallel(model), x), expected)


# Plans --------------------------------------------------------------------------------------------------------


class Both(nn.Module):
    """Has activations for a plan and dropout of its own, as modules and as functions, in one forward."""

    def __init__(self):
        super().__init__()
        self.act, self.drop, self.inner = nn.ReLU(), nn.Dropout(0.3), Inner(0.3)

    def forward(self, x):
        x = F.dropout(torch.tanh(self.act(x)), 0.3, self.training)
        return self.inner(torch.tanh(self.drop(x)))


def both_by_hand(x):
    def drop(x, rate, site):
        return dk.ops.dropout(x, rate, training=True, site=site)

    x = drop(x, 0.1, ":input")
    x = drop(torch.relu(x), 0.5, "act")
    x = drop(drop(torch.tanh(x), 0.5, ":tanh#0"), 0.3, ":dropout#0")
    x = drop(torch.tanh(drop(x, 0.3, "drop")), 0.5, ":tanh#1")
    return drop(x, 0.3, "inner:dropout#0") + 1


@pytest.mark.parametrize("first", ["plan", "accelerate"])
@pytest.mark.parametrize("off", ["plan", "accelerate"])
@pytest.mark.parametrize("planned", ["before", "in order"])
def test_with_a_plan_in_any_order(first, off, planned, rng):
    model, x = Both(), torch.rand(400, 6, generator=rng) + 1
    before = snapshot(model)
    rules = [dk.Rule(at="hidden", rate=0.5), dk.Rule(at="input", rate=0.1)]
    plan = dk.plan(model, rules, example_inputs=x)
    applied = {}
    for what in (first, "plan" if first == "accelerate" else "accelerate"):
        if what == "plan":
            if planned == "in order":
                assert dk.plan(model, rules, example_inputs=x) == plan
            applied[what] = plan.apply(model)
        else:
            applied[what] = dk.accelerate(model)
    assert {type(handle) for handle in attached(model)} == {type(handle) for handle in applied.values()}
    assert torch.equal(streamed(model, x), streamed(both_by_hand, x))
    other = "plan" if off == "accelerate" else "accelerate"
    applied[off].revert()
    assert not torch.equal(streamed(model, x), streamed(both_by_hand, x))
    assert [type(handle) for handle in attached(model)] == [type(applied[other])]
    applied[other].revert()
    assert_same(before, snapshot(model))
    assert attached(model) == []


def test_a_plan_on_the_models_own_dropout_keeps_its_masks_apart(rng):
    model, x = nn.Sequential(nn.Dropout(0.5)), torch.ones(4000)
    with dk.accelerate(model), dk.plan(model, [dk.Rule(at="0", rate=0.5)]).apply(model):
        y = streamed(model, x)
    assert torch.equal(y.unique(), torch.tensor([0.0, 4.0]))


# Training -----------------------------------------------------------------------------------------------------


def test_training_equals_that_of_the_same_model_written_with_dropkit(rng):
    x, target = torch.randn(16, 6, generator=rng), torch.randint(6, (16,), generator=rng)
    model, twin = Mixed(), Mixed()
    twin.load_state_dict(model.state_dict())
    results = []
    for each, call in ((model, model), (twin, lambda x: by_hand(twin, x))):
        if each is model:
            dk.accelerate(model)
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1, momentum=0.9)
        losses = []
        with dk.random.stream(7):
            for _ in range(4):
                loss = F.cross_entropy(call(x), target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                dk.step()
                losses.append(loss.detach())
        results.append([*losses, *(parameter.detach() for parameter in each.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype, rng):
    model, x = Mixed().to(dtype), data(rng).to(dtype)
    with dk.accelerate(model) as applied:
        assert torch.equal(streamed(model, x), streamed(by_hand, model, x))
        assert applied.skipped == ()


def test_autocast(rng):
    model, x = Everything(), data(rng)
    with dk.accelerate(model), torch.autocast("cpu", torch.bfloat16):
        state = torch.get_rng_state()
        y = streamed(model, x)
        assert torch.equal(torch.get_rng_state(), state)  # nobody asked torch for a random number
        assert y.dtype is torch.bfloat16
        assert torch.equal(streamed(model, x), y)


@pytest.mark.parametrize("device", ["meta"])
def test_shapes_can_be_inferred(device):
    model, x = Everything().to(device), torch.empty(4, 5, 6, device=device)
    with dk.accelerate(model):
        assert model(x).shape == (4, 5, 8)


def test_per_sample_gradients_and_functional_calls(rng):
    model, x = Mixed(), data(rng)
    parameters = dict(model.named_parameters())

    def loss(parameters, row):
        return torch.func.functional_call(model, parameters, (row,)).sum()

    with dk.accelerate(model):
        gradient = streamed(torch.func.grad(loss), parameters, x)
        expected = torch.autograd.grad(streamed(model, x).sum(), list(parameters.values()))
        torch.testing.assert_close(list(gradient.values()), list(expected))
        rows = torch.vmap(torch.func.grad(loss), (None, 0), randomness="different")(parameters, x)
        assert rows["one.weight"].shape == (4, 6, 6)
