"""Dropout of attention probabilities: every way to write attention, every variant, the model's own dropout."""

import copy
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError, PlanError
from dropkit.ops import attention, attention_dropout, drop_head, drop_key
from dropkit.ops.attention import attention_through

from .models import assert_same, snapshot, streamed
from .test_training import train

HEADS, WIDTH = 2, 8


class Attention(nn.Module):
    """Self-attention by ``how``: a subclass decides what is done with queries, keys and values."""

    def __init__(self, rate=0.0):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.rate = rate

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        return self.out(self.attend(q, k, v).transpose(1, 2).flatten(2))


class Fused(Attention):
    def attend(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.rate if self.training else 0.0)


class Eager(Attention):
    """Softmax, a cast, dropout and a product, one after another."""

    def attend(self, q, k, v):
        p = F.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), dim=-1, dtype=torch.float32).to(
            q.dtype
        )
        return F.dropout(p, self.rate, self.training) @ v


class Modules(Attention):
    def __init__(self, rate=0.0):
        super().__init__(rate)
        self.softmax, self.drop = nn.Softmax(-1), nn.Dropout(rate)

    def attend(self, q, k, v):
        return torch.matmul(self.drop(self.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]))), v)


class Classifier(nn.Module):
    def __init__(self, cls, **options):
        super().__init__()
        self.attn = cls(**options)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x):
        return self.head(self.attn(x).mean(1))


class HandFused(Fused):
    def attend(self, q, k, v):
        site = "attn:scaled_dot_product_attention#0:attention"
        return attention(q, k, v, rate=0.3, training=self.training, site=site)


class HandEager(Eager):
    def attend(self, q, k, v):
        p = F.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), dim=-1)
        return attention_dropout(p, 0.3, training=self.training, site="attn:softmax#0:attention") @ v


class HandKey(Eager):
    def attend(self, q, k, v):
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        return (
            F.softmax(drop_key(scores, 0.3, training=self.training, site="attn:softmax#0:attention"), -1) @ v
        )


class HandHead(Fused):
    def attend(self, q, k, v):
        site = "attn:scaled_dot_product_attention#0:attention"
        return drop_head(super().attend(q, k, v), 0.3, training=self.training, site=site)


def tokens(rng, n=4):
    return torch.randn(n, 5, WIDTH, generator=rng)


def planned(model, x, variant="attention_dropout", rate=0.3, **rule):
    return dk.plan(model, [dk.Rule(at="attention", variant=variant, rate=rate, **rule)], example_inputs=x[:1])


@pytest.mark.parametrize(
    ("cls", "hand", "variant"),
    [
        (Fused, HandFused, "dropout"),
        (Fused, HandFused, "attention_dropout"),
        (Fused, HandHead, "drop_head"),
        (Eager, HandEager, "dropout"),
        (Eager, HandKey, "drop_key"),
        (Modules, HandEager, "attention_dropout"),
        (partial(Fused, rate=0.9), HandFused, "dropout"),  # the plan stands in for the model's own
        (partial(Eager, rate=0.9), HandEager, "dropout"),
        (partial(Modules, rate=0.9), HandEager, "dropout"),
    ],
)
def test_a_plan_equals_attention_written_by_hand(cls, hand, variant, rng):
    model, by_hand = Classifier(cls), Classifier(hand)
    by_hand.load_state_dict(model.state_dict())
    x, y = tokens(rng, 16), torch.randint(3, (16,), generator=rng)
    start = copy.deepcopy(model)
    planned(model, x, variant).apply(model)
    found, expected = train(model, x, y, seed=7), train(by_hand, x, y, seed=7)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    start.attn.rate = 0.0
    if isinstance(start.attn, Modules):
        start.attn.drop.p = 0.0
    assert not torch.equal(found[0], train(start, x, y, seed=7)[0])


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("own", [0.0, 0.9])
def test_multi_head_attention_drops_the_same_probabilities_either_way(need_weights, own, rng):
    model, x = nn.MultiheadAttention(WIDTH, HEADS, dropout=own, batch_first=True), tokens(rng)
    site = ":multi_head_attention_forward#0:attention"
    q, k, v = (
        t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in F.linear(x, model.in_proj_weight).chunk(3, -1)
    )
    expected = streamed(attention, q, k, v, rate=0.3, training=True, site=site)
    expected = model.out_proj(expected.transpose(1, 2).flatten(2))
    plan = dk.plan(model, [dk.Rule(at="attention", rate=0.3)])
    assert [s.id for s in plan.sites] == [site]
    with plan.apply(model):
        y, weights = streamed(model, x, x, x, need_weights=need_weights)
        assert torch.equal(model.eval()(x, x, x)[0], nn.MultiheadAttention.forward(model, x, x, x)[0])
    torch.testing.assert_close(y, expected)
    if need_weights:
        kept = torch.from_numpy(dk.random.mask((4, HEADS, 5, 5), 0.3, seed=1, site=site))
        assert torch.equal(weights == 0, ~kept.any(1))


@pytest.mark.parametrize("need_weights", [True, False])
def test_heads_of_multi_head_attention_are_dropped_whole(need_weights, rng):
    model, x = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), tokens(rng, 64)
    with torch.no_grad():  # the output is the heads side by side
        model.out_proj.weight.copy_(torch.eye(WIDTH))
    plain = model(x, x, x)[0]
    with dk.plan(model, [dk.Rule(at="attention", variant="drop_head", rate=0.5)]).apply(model):
        y = streamed(model, x, x, x, need_weights=need_weights)[0]
    site = ":multi_head_attention_forward#0:attention"
    expected = streamed(drop_head, plain, 0.5, training=True, heads=HEADS, site=site)
    torch.testing.assert_close(y, expected)
    assert torch.equal(y == 0, expected == 0)


def test_a_transformer_keeps_its_fast_path_in_eval_mode(rng):
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, dropout=0.0, batch_first=True)
    model, x = nn.TransformerEncoder(layer, 2), tokens(rng)
    with torch.no_grad():
        expected = model.eval()(x)
    plan = dk.plan(model, [dk.Rule(at="attention", rate=0.5)])
    assert [site.module for site in plan.sites] == ["layers.0.self_attn", "layers.1.self_attn"]
    assert plan.notes == ()
    with plan.apply(model), torch.no_grad():
        assert torch.equal(model(x), expected)
        assert not torch.equal(streamed(model.train(), x), expected)
    torch.testing.assert_close(model.train()(x), expected)


@pytest.mark.parametrize("cls", [Fused, Eager, Modules])
@pytest.mark.parametrize("variant", ["dropout", "drop_key", "drop_head", "gaussian_dropout"])
def test_reverting_leaves_nothing(cls, variant, rng):
    model, x = Classifier(cls, rate=0.1), tokens(rng)
    before = snapshot(model)
    applied = planned(model, x, variant).apply(model)
    assert not torch.equal(streamed(model, x), streamed(model, x, seed=2))
    applied.revert()
    assert_same(before, snapshot(model))


@pytest.mark.parametrize("variant", ["dropout", "drop_key", "drop_head", "gaussian_dropout"])
def test_fused_attention_obeys_the_law_of_the_eager_one(variant, rng):
    fused, x = Classifier(Fused), tokens(rng)
    eager = Classifier(Eager)
    eager.load_state_dict(fused.state_dict())
    outputs = []
    for model in (fused, eager):
        (site,) = planned(model, x, variant).sites
        with planned(model, x, variant).apply(model) as applied:
            (drop,) = model.attn.forward.drops()
            drop.site = replace(site, id="same")  # one name for both, hence one mask
            outputs.append(streamed(model, x))
        assert not applied.active
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize("cls", [Fused, Eager, Modules])
def test_rate_one_leaves_no_attention(cls, rng):
    model, x = Classifier(cls, rate=0.2), tokens(rng)
    with planned(model, x, "dropout", 1.0).apply(model):
        y = model(x)
    torch.testing.assert_close(y, model.head(model.attn.out.bias.expand(4, WIDTH)))


@pytest.mark.parametrize("cls", [Fused, Eager, Modules])
@pytest.mark.parametrize("first", ["plan", "accelerate"])
def test_a_plan_stands_in_for_dropout_that_is_accelerated(cls, first, rng):
    model, x = Classifier(cls, rate=0.4), tokens(rng)
    with planned(model, x).apply(model):
        expected = streamed(model, x)
    steps = [lambda: planned(model, x).apply(model), lambda: dk.accelerate(model)]
    applied = [step() for step in (steps if first == "plan" else reversed(steps))]
    assert torch.equal(streamed(model, x), expected)
    for handle in applied:
        handle.revert()
    assert "forward" not in model.attn.__dict__


@pytest.mark.parametrize("cls", [Fused, Eager, Modules])
@pytest.mark.parametrize("when", ["before", "after"])
def test_compiled(cls, when, rng):
    model, x = Classifier(cls, rate=0.1), tokens(rng)
    plan = planned(model, x)
    with plan.apply(model):
        expected = streamed(model, x)
    compiled = torch.compile(model, backend="eager")
    if when == "after":
        streamed(compiled, x)
    with plan.apply(model):
        torch.testing.assert_close(streamed(compiled, x), expected)
    assert not torch.allclose(streamed(compiled, x), expected)


@pytest.mark.parametrize("cls", [Fused, Eager, Modules])
def test_rate_zero_leaves_none_of_the_dropout_of_the_model(cls, rng):
    model, x = Classifier(cls, rate=0.5), tokens(rng)
    assert not torch.equal(model(x), model(x))
    with planned(model, x, rate=0.0).apply(model):
        torch.testing.assert_close(model(x), model.eval()(x))


def test_the_plan_notes_what_the_model_drops_itself(rng):
    x = tokens(rng)
    for cls in (Fused, Eager, Modules):
        assert planned(Classifier(cls), x).notes == ()
        (note,) = planned(Classifier(cls, rate=0.2), x).notes
        assert "the model drops there itself, at rate 0.2" in note
    (note,) = dk.plan(nn.MultiheadAttention(8, 2, dropout=0.1), [dk.Rule(at="attention", rate=0.5)]).notes
    assert "at rate 0.1" in note


def test_no_attention():
    model, x = nn.Sequential(nn.Linear(3, 3), nn.Softmax(-1)), torch.ones(2, 3)
    with pytest.raises(NoMatchError, match="pass example_inputs="):
        dk.plan(model, [dk.Rule(at="attention", rate=0.1)])
    with pytest.raises(NoMatchError, match="computed no attention on the example"):
        planned(model, x)


def test_an_address_may_name_some_of_the_attention(rng):
    model, x = nn.Sequential(Fused(), nn.Sequential(Fused(), Eager())), tokens(rng)
    found = dk.plan(model, [dk.Rule(at="1.*:attention", rate=0.1)], example_inputs=x)
    assert [site.module for site in found.sites] == ["1.0", "1.1"]
    assert [s.module for s in planned(model, x, except_=["1.0"]).sites] == ["0", "1.1"]
    with pytest.raises(NoMatchError, match=r"no attention has an id that matches '2\.\*:attention'"):
        dk.plan(model, [dk.Rule(at="2.*:attention", rate=0.1)], example_inputs=x)
    with pytest.raises(PlanError, match="leave out on='input'"):
        planned(model, x, on="input")
    assert dk.surgery.Plan.from_json(found.to_json()) == found


def test_heads_need_an_axis(rng):
    class Flat(Attention):
        def attend(self, q, k, v):
            q, k, v = (t.flatten(0, 1) for t in (q, k, v))
            return torch.bmm(torch.softmax(torch.bmm(q, k.mT), -1), v).unflatten(0, (-1, HEADS))

    model, x = Classifier(Flat), tokens(rng)
    text = r"'attn:softmax#0:attention': drop_head needs an axis of heads"
    with planned(model, x, "drop_head").apply(model), pytest.raises(PlanError, match=text):
        model(x)


def test_attention_through_functions_is_attention(rng):
    q, k, v = torch.randn(3, 2, 4, 5, 8, generator=rng)
    mask = torch.rand(5, 5, generator=rng) < 0.8
    for options in ({"mask": mask, "is_causal": False}, {"mask": None, "is_causal": True}):
        rest = {**options, "scale": 0.3, "enable_gqa": True}
        expected = attention(q, k[:, :2], v[:, :1], rate=0.0, training=False, **rest)
        torch.testing.assert_close(attention_through(q, k[:, :2], v[:, :1], **rest), expected)
        doubled = attention_through(q, k[:, :2], v[:, :1], **rest, on_probabilities=lambda p: p * 2)
        torch.testing.assert_close(doubled, expected * 2)
        even = attention_through(q, k, v, **rest, on_scores=torch.zeros_like)
        torch.testing.assert_close(even, v.mean(-2, keepdim=True).expand_as(even))
