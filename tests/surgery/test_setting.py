import copy
import random

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError, PlanError, RateError
from dropkit.surgery import mentions
from tests.surgery.auditing import models

X = torch.ones(4, 2, 8)


class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop, self.own, self.path = nn.Dropout(0.1), dk.nn.Dropout(0.2), models.DropPath(0.3)
        self.mha = nn.MultiheadAttention(8, 2, dropout=0.15, batch_first=True)
        self.lstm = nn.LSTM(8, 8, 2, dropout=0.25, batch_first=True)
        self.call, self.attend = models.Functional(), models.Attention(0.05)

    def forward(self, x):
        x = self.path(self.own(self.drop(x)))
        x = self.lstm(self.mha(x, x, x)[0])[0]
        return self.attend(self.call(x))


def rates(model, *inputs):
    return {site.id: site.rate for site in dk.audit(model, *inputs).sites}


def test_every_rate_and_back():
    model = Everything()
    before = rates(model, X)
    with dk.set_rate(model, 0.6) as applied:
        assert set(rates(model, X).values()) == {0.6}
        assert {site.id for site in applied.sites} == set(before)
    assert rates(model, X) == before
    assert not any("forward" in vars(m) for m in model.modules())


@pytest.mark.parametrize(
    ("at", "changed"),
    [
        ("drop", {"drop"}),
        ("call:*", {"call:dropout#0", "call:dropout#1", "call:dropout#2"}),
        ("call:dropout#1", {"call:dropout#1"}),
        ("attention", {"mha", "attend:scaled_dot_product_attention#0"}),
        ("recurrent", {"lstm"}),
        ("DropPath", {"path"}),
        ("re:(own|path)", {"own", "path"}),
        (["drop", "lstm"], {"drop", "lstm"}),
    ],
)
def test_addresses(at, changed):
    model = Everything()
    before = rates(model, X)
    with dk.set_rate(model, 0.77, at=at):
        after = rates(model, X)
    assert {id for id in before if after[id] != before[id]} == changed
    assert {after[id] for id in changed} == {0.77}


def test_zero_everywhere_means_that_nothing_is_random(seed):
    model = Everything().train()
    with dk.set_rate(model, 0.0), torch.no_grad():
        torch.manual_seed(seed)
        first = model(X)
        assert torch.equal(model(X), first)


def test_what_drops_is_as_asked(seed):
    class Net(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.1, self.training)

    ones = torch.ones(200, 200)
    model = Net()
    with dk.set_rate(model, 0.7):
        share = (model(ones) == 0).double().mean().item()
        assert abs(share - 0.7) < 5.2 * (0.21 / 40_000) ** 0.5
        assert torch.equal(model.eval()(ones), ones)
    assert (model.train()(ones) == 0).double().mean().item() < 0.2


def test_with_acceleration_in_either_order(seed):
    for first in ("accelerate", "set"):
        model = Everything()
        model.path = nn.Identity()  # which draws from no stream
        if first == "accelerate":
            applied = [dk.accelerate(model), dk.set_rate(model, 0.4)]
        else:
            applied = [dk.set_rate(model, 0.4), dk.accelerate(model)]
        with dk.random.stream(seed), torch.no_grad():
            one = model(X)
        with dk.random.stream(seed), torch.no_grad():
            assert torch.equal(model(X), one)
        applied[0].revert()
        applied[1].revert()
        assert not any("forward" in vars(m) for m in model.modules())


def test_copies_keep_the_rate():
    model = Everything()
    applied = dk.set_rate(model, 0.6)
    twin = copy.deepcopy(model)
    applied.revert()
    assert set(rates(twin, X).values()) == {0.6}


def test_nested_settings_and_changes_in_between():
    model = Everything()
    outer = dk.set_rate(model, 0.6, at="drop")
    inner = dk.set_rate(model, 0.7, at="drop")
    with pytest.raises(PlanError, match=r"p of 'drop' was set to 0\.7 after this rate"):
        outer.revert()
    inner.revert()
    outer.revert()
    outer.revert()
    assert model.drop.p == 0.1


@pytest.mark.parametrize("at", ["nothing", "drop2", "re:x.*", []])
def test_an_address_that_matches_nothing_is_named(at):
    model = Everything()
    with pytest.raises(NoMatchError, match="matches no rate of the model"):
        dk.set_rate(model, 0.5, at=at, example_inputs=X)
    assert not any("forward" in vars(m) for m in model.modules())
    with pytest.raises(NoMatchError, match="matches no rate"):
        dk.set_rate(nn.Linear(2, 2), 0.5)


@given(rate=st.sampled_from([-0.1, 1.5, float("nan"), True, "x"]))
def test_bad_rates_change_nothing(rate):
    model = nn.Sequential(nn.Dropout(0.1))
    with pytest.raises(RateError, match="rate must be"):
        dk.set_rate(model, rate)
    assert model[0].p == 0.1


def test_compiled_models_notice(seed):
    torch.compiler.reset()
    model = nn.Sequential(nn.Dropout(0.5))
    compiled = torch.compile(model, backend="aot_eager")
    compiled(X)
    with dk.set_rate(compiled, 0.0):
        assert torch.equal(compiled(X), X)
    assert not torch.equal(compiled(torch.ones(100, 100)), torch.ones(100, 100))


class Calling(nn.Module):
    """A call after a dropout module."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return F.dropout(self.drop(x), 0.4, self.training)


def test_calls_inside_other_modules_are_not_counted():
    model = nn.Sequential(Calling(), Calling()).train()
    x = torch.ones(2, 4)
    ids = [site.id for site in dk.audit(model, x).sites]
    with dk.set_rate(model, 0.9, example_inputs=x) as everything:
        assert sorted(site.id for site in everything.sites) == sorted(ids)
        with dk.set_rate(model, 0.0, at=["*.drop", "1:dropout#0"]):
            rates = {site.id: site.rate for site in dk.audit(model, x).sites}
            assert rates == {"0.drop": 0.0, "0:dropout#0": 0.9, "1.drop": 0.0, "1:dropout#0": 0.0}
    assert all("forward" not in vars(module) for module in model.modules())


def test_what_is_inside_a_module_whose_calls_were_set_is_still_sampled_and_accelerated(seed):
    model = nn.Sequential(nn.Linear(4, 64), Calling(), nn.Linear(64, 1)).eval()
    x = torch.randn(3, 4)
    with dk.set_rate(model, 0.3, at="1:dropout#0"):
        loop, again, expand, vmap = (
            dk.predict(model, x, members=3, seed=seed, mode=mode, keep_members=True).members
            for mode in ("loop", "loop", "expand", "vmap")
        )
        assert torch.equal(loop, again)
        torch.testing.assert_close(expand, loop)
        torch.testing.assert_close(vmap, loop)
        with dk.accelerate(model, example_inputs=x) as faster:
            assert {(site.id, site.rate) for site in faster.sites} == {("1.drop", 0.5), ("1:dropout#0", 0.3)}
    assert all("forward" not in vars(module) for module in model.modules())


@pytest.mark.parametrize(
    ("drop", "variant"),
    [
        (nn.Dropout(0.5), "dropout"),
        (nn.Dropout1d(0.5), "spatial_dropout1d"),
        (nn.Dropout2d(0.5), "spatial_dropout2d"),
        (nn.Dropout3d(0.5), "spatial_dropout3d"),
        (nn.AlphaDropout(0.5), "alpha_dropout"),
        (nn.FeatureAlphaDropout(0.5), "feature_alpha_dropout"),
    ],
)
def test_dropout_inside_a_module_whose_calls_were_set_keeps_its_kind(drop, variant):
    model = Calling()
    model.drop = drop
    with dk.accelerate(model) as alone:
        kinds = {site.id: site.variant for site in alone.sites if site.id == "drop"}
    with dk.set_rate(model, 0.3, at=":dropout#0"), dk.accelerate(model) as applied:
        found = {site.id: site.variant for site in applied.sites if site.id == "drop"}
    assert found == kinds == {"drop": variant}


def test_rates_that_are_set_at_calls_leave_a_model_whole_for_the_compiler():
    class Net(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.1, self.training)

    torch.compiler.reset()
    model, x = Net(), torch.ones(30, 4)
    with dk.set_rate(model, 1.0):
        assert not torch.compile(model, backend="eager", fullgraph=True)(x).any()
    with dk.set_rate(model, 0.0, at=":dropout#*"):
        assert torch.equal(torch.compile(model, backend="eager", fullgraph=True)(x), x)


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(PlanError, match=r"at='re:\(' is not a regular expression"):
        dk.set_rate(nn.Dropout(0.5), 0.1, at="re:(")


class ByHand(nn.Module):
    """Draws in a helper, in a way of its own."""

    def forward(self, x):
        return self._noisy(x) if self.training else x

    def _noisy(self, x):
        return x * (torch.rand_like(x) > 0.3)


class Drawing(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.drop, self.inside, self.draw = (
            nn.Dropout(0.1),
            nn.Sequential(ByHand(), models.DropPath(0.2)),
            draw,
        )

    def reset(self):
        return torch.rand(3)  # no forward leads here

    def forward(self, x):
        return self.draw(self.inside(self.drop(x)))


def in_place(x):
    return x * torch.empty_like(x).bernoulli_(0.5)


def of_python(x):
    return x if random.random() < 0.5 else x * 0


def test_what_is_drawn_by_hand_is_named_once_where_every_rate_is_meant():
    both = Drawing(in_place)
    with pytest.warns(UserWarning, match="by hand") as caught:
        dk.set_rate(both, 0.0).revert()
    assert len(caught) == 1
    assert r"as in '(model)' (Drawing), 'inside.0' (ByHand);" in str(caught[0].message)
    assert "\n" not in str(caught[0].message)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="'.model.' .Drawing., 'inside.0'"):
        dk.set_rate(Drawing(of_python), 0.0)
    with pytest.warns(UserWarning, match="as in 'inside.0' .ByHand.;"):
        dk.set_rate(Drawing(nn.Identity()), 0.0)
    dk.set_rate(Drawing(in_place), 0.0, at=["drop", "inside.1"])  # what is named is all that is meant
    uncontrollable = {site.id for site in dk.audit(both, X).sites if not site.controllable}
    assert uncontrollable == {":bernoulli#0", "inside.0:rand_like#0"}


def test_modules_that_are_alike_are_read_once(monkeypatch):
    read = []
    monkeypatch.setattr(mentions._Search, "finds", lambda self, function: read.append(function) or False)
    known = mentions.Mentions()
    blocks = [Calling() for _ in range(5)]
    assert not any(known.dropout(block) for block in blocks)
    once = len(read)
    assert once > 0
    blocks[0].drop = nn.Identity()  # a child of another class
    blocks[1].more = of_python
    for block in blocks[:2]:
        mentions.Mentions().dropout(block)
        assert len(read) > once
        once = len(read)
    again = mentions.Mentions()
    again.dropout(blocks[0])
    before = len(read)
    again.dropout(blocks[1])
    assert len(read) > before
    before = len(read)
    again.dropout(blocks[0])
    again.drawing(blocks[0])
    assert len(read) == before + 1  # the forward, for something else


def test_what_differs_in_what_it_leads_to_is_told_apart():
    class Leads(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    known = mentions.Mentions()
    assert [known.dropout(Leads(f)) for f in (torch.relu, F.dropout, of_python, F.dropout)] == [0, 1, 0, 1]

    class Helps(nn.Module):
        def help(self, x):
            return F.dropout(x)

    class Idle(nn.Module):
        def help(self, x):
            return x

    class Asks(nn.Module):
        def __init__(self, child):
            super().__init__()
            self.child = child

        def forward(self, x):
            return self.child.help(x)

    assert [known.dropout(Asks(child)) for child in (Idle(), Helps(), Idle(), Helps())] == [0, 1, 0, 1]
