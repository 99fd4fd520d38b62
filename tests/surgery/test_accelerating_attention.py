"""Dropout on attention probabilities, and in torch's own transformers, on dropkit."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit import ops
from dropkit.surgery.existing.attention import INNER
from tests.laws import assert_frequency

from .models import Holder, assert_same, snapshot


def streamed(function, *args, seed=1, **kwargs):
    with dk.random.stream(seed):
        return function(*args, **kwargs)


class Attends(nn.Module):
    def __init__(self, rate=0.3, **options):
        super().__init__()
        self.rate = rate
        self.options = options

    def forward(self, q, k, v, mask=None):
        rate = self.rate if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate, **self.options)


def qkv(rng, heads=2, groups=2):
    q = torch.randn(3, heads, 5, 4, generator=rng)
    return q, *(torch.randn(3, groups, 6, 4, generator=rng) for _ in range(2))


@pytest.mark.parametrize(
    ("options", "groups", "mask"),
    [
        ({}, 2, False),
        ({"scale": 0.3}, 2, True),
        ({"is_causal": True}, 2, False),
        ({"enable_gqa": True}, 1, False),
    ],
)
def test_scaled_dot_product_attention_is_that_of_dropkit(options, groups, mask, rng):
    q, k, v = qkv(rng, groups=groups)
    keep = torch.rand(5, 6, generator=rng) < 0.7 if mask else None
    model = Attends(**options)
    with dk.accelerate(model) as applied:
        y = streamed(model, q, k, v, keep)
        assert [(s.id, s.rate) for s in applied.sites] == [(":scaled_dot_product_attention#0", 0.3)]
        model.eval()
        silent = model(q, k, v, keep)
    site = ":scaled_dot_product_attention#0"
    expected = streamed(ops.attention, q, k, v, mask=keep, rate=0.3, training=True, site=site, **options)
    assert torch.equal(y, expected)
    assert torch.equal(silent, model(q, k, v, keep))
    assert not torch.allclose(y, silent)


def test_arguments_by_position():
    q = torch.ones(1, 1, 2, 3)

    class Positional(nn.Module):
        def forward(self, q):
            return F.scaled_dot_product_attention(q, q, q, None, 1.0, True)

    model = Positional()
    with dk.accelerate(model):
        assert not model(q).any()


def test_the_rate_of_attention_is_the_one_asked_for(rng):
    torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))
    q, v = torch.zeros(50, 1, 40, 1), torch.eye(40).expand(50, 1, 40, 40)  # the output is the probabilities
    model = Attends(0.1)
    with dk.accelerate(model):
        y = model(q, q, v)
    assert_frequency(y == 0, 0.1)
    assert torch.equal(y[y != 0], torch.full_like(y[y != 0], y.max().item()))


def test_an_illegal_call_fails_as_it_did(rng):
    q, k, v = qkv(rng)
    model = Attends(is_causal=True)
    mask = torch.ones(5, 6, dtype=torch.bool)
    with pytest.raises(RuntimeError):
        model(q, k, v, mask)
    with dk.accelerate(model), pytest.raises(RuntimeError):
        model(q, k, v, mask)


def test_a_mask_of_a_class_of_its_own_is_left_to_torch(rng):
    from torch.nn.attention.bias import causal_lower_right

    q, k, v = qkv(rng)
    model = Attends()
    with dk.accelerate(model) as applied:
        model(q, k, v, causal_lower_right(5, 6))
        assert applied.skipped == ((":scaled_dot_product_attention#0", "its mask is a CausalBias"),)
        assert applied.sites == ()


# nn.MultiheadAttention ----------------------------------------------------------------------------------------


def multihead(rate=0.3, **options):
    torch.manual_seed(0)
    return nn.MultiheadAttention(8, 2, dropout=rate, **options)


def by_hand(model, q, k, v, *, mask=None):
    """Multi-head attention over batch-first input with weights of its own, written with dropkit."""
    width, heads = model.embed_dim, model.num_heads
    weights, biases = model.in_proj_weight.chunk(3), model.in_proj_bias.chunk(3)
    q, k, v = (
        F.linear(x, w, b).unflatten(2, (heads, width // heads)).transpose(1, 2)
        for x, w, b in zip((q, k, v), weights, biases, strict=True)
    )
    y = ops.attention(q, k, v, mask=mask, rate=model.dropout, training=True, site=":output")
    return model.out_proj(y.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_multi_head_attention_is_one_site_whatever_it_returns(need_weights, masked, rng):
    model = multihead(batch_first=True)
    q, k = torch.randn(3, 5, 8, generator=rng), torch.randn(3, 6, 8, generator=rng)
    padding = (torch.rand(3, 6, generator=rng) < 0.3) & (torch.arange(6) > 0) if masked else None
    applied = dk.accelerate(model)
    assert [(s.id, s.rate, s.type) for s in applied.sites] == [(":output", 0.3, "MultiheadAttention")]
    y, weights = streamed(model, q, k, k, key_padding_mask=padding, need_weights=need_weights)
    keep = None if padding is None else ~padding[:, None, None, :]
    torch.testing.assert_close(y, streamed(by_hand, model, q, k, k, mask=keep))
    if need_weights:
        kept = dk.random.mask((6, 5, 6), 0.3, seed=1, site=":output")
        expected = torch.from_numpy(kept).view(3, 2, 5, 6)
        if padding is not None:
            expected = expected & ~padding[:, None, None, :]
        assert torch.equal(weights != 0, expected.any(1))
    plain = model.eval()(q, k, k, key_padding_mask=padding, need_weights=need_weights)[0]
    applied.revert()
    torch.testing.assert_close(
        plain, model(q, k, k, key_padding_mask=padding, need_weights=need_weights)[0], rtol=0, atol=0
    )


@pytest.mark.parametrize(
    "options",
    [
        {"bias": False},
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"kdim": 3, "vdim": 4},
        {"add_bias_kv": True, "add_zero_attn": True},
    ],
)
@pytest.mark.parametrize("need_weights", [True, False])
def test_the_inner_twin_of_multi_head_attention_does_all_that_the_original_does(options, need_weights, rng):
    """At a rate so small that nothing is dropped, except for rounding."""
    model = multihead(1e-9, **options)
    q = torch.randn(5, 3, 8, generator=rng)
    k = torch.randn(6, 3, options.get("kdim", 8), generator=rng)
    v = torch.randn(6, 3, options.get("vdim", 8), generator=rng)
    expected = model(q, k, v, need_weights=need_weights)
    with dk.accelerate(model) as applied:
        found = model(q, k, v, need_weights=need_weights)
        assert applied.skipped == ()
    torch.testing.assert_close(found, expected)
    unbatched = model(q[:, 0], k[:, 0], v[:, 0])
    with dk.accelerate(model):
        torch.testing.assert_close(model(q[:, 0], k[:, 0], v[:, 0]), unbatched)


def test_the_inner_twin_reads_the_names_of_the_original():
    original = F.multi_head_attention_forward.__globals__
    assert {name for name, value in INNER.__globals__.items() if original.get(name) is not value} == {
        "has_torch_function"
    }


def test_the_rate_of_multi_head_attention_is_read_at_every_call(rng):
    model, x = multihead(0.0), torch.randn(4, 3, 8, generator=rng)
    holder = nn.Sequential(nn.Dropout(0.1), Holder(model))
    plain = model(x, x, x)[0]
    with dk.accelerate(holder) as applied:
        assert [site.id for site in applied.sites] == ["0"]
        assert torch.equal(model(x, x, x)[0], plain)
        model.dropout = 1.0
        assert [site.id for site in applied.sites] == ["0", "1.inner"]
        assert torch.equal(model(x, x, x)[0], model.out_proj.bias.expand_as(x))


# Transformers of torch ----------------------------------------------------------------------------------------


def encoder(rate=0.1, layers=2):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=rate, batch_first=True)
    return nn.TransformerEncoder(layer, layers)


def decoder(rate=0.1):
    torch.manual_seed(0)
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, dropout=rate, batch_first=True), 2)


def layer_by_hand(layer, name, x):
    def drop(x, site):
        return ops.dropout(x, 0.1, training=True, site=f"{name}.{site}")

    attention, (weights, biases) = (
        layer.self_attn,
        (layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias),
    )
    q, k, v = (t.unflatten(2, (2, 4)).transpose(1, 2) for t in F.linear(x, weights, biases).chunk(3, -1))
    site = f"{name}.self_attn"
    y = ops.attention(q, k, v, rate=0.1, training=True, site=site).transpose(1, 2).flatten(2)
    x = layer.norm1(x + drop(attention.out_proj(y), "dropout1"))
    y = layer.linear2(drop(F.relu(layer.linear1(x)), "dropout"))
    return layer.norm2(x + drop(y, "dropout2"))


def test_an_encoder_equals_the_same_written_with_dropkit(rng):
    model, x = encoder(), torch.randn(3, 5, 8, generator=rng)
    with dk.accelerate(model) as applied:
        y = streamed(model, x)
        assert len(applied.sites) == 8
        assert applied.skipped == ()

    def expected(x):
        for i, layer in enumerate(model.layers):
            x = layer_by_hand(layer, f"layers.{i}", x)
        return x

    torch.testing.assert_close(y, streamed(expected, x))


@pytest.mark.parametrize("make", [encoder, decoder])
def test_a_rate_of_zero_changes_nothing_and_one_drops_every_branch(make, rng):
    x, memory = torch.randn(3, 5, 8, generator=rng), torch.randn(3, 4, 8, generator=rng)
    inputs = (x,) if make is encoder else (x, memory)
    zero, one = make(0.0), make(1.0)
    expected = zero(*inputs)
    with dk.accelerate(zero):
        assert torch.equal(zero(*inputs), expected)
    expected = one(*inputs)
    with dk.accelerate(one) as applied:
        torch.testing.assert_close(one(*inputs), expected)
        assert len(applied.sites) == (8 if make is encoder else 12)


def test_the_fast_path_stays_in_use_in_eval_mode(rng, monkeypatch):
    class Around(nn.Module):
        """Its own function is active in eval mode, so a mode is entered there."""

        def __init__(self):
            super().__init__()
            self.encoder = encoder()

        def forward(self, x):
            return self.encoder(F.dropout(x, 0.5))

    x, fused = torch.randn(3, 5, 8, generator=rng), []
    original = torch._transformer_encoder_layer_fwd
    monkeypatch.setattr(
        torch, "_transformer_encoder_layer_fwd", lambda *a: fused.append(1) or original(*a), raising=True
    )
    for model in (encoder(), Around()):
        with dk.accelerate(model), torch.no_grad():
            model.train()
            model(x)
            assert not fused
            model.eval()
            y = streamed(model, x)
            assert len(fused) == 2
        fused.clear()
    x = streamed(ops.dropout, x, 0.5, training=True, site=":dropout#0")
    with torch.no_grad():
        assert torch.equal(y, model.encoder(x))


def test_the_fast_path_of_multi_head_attention_stays_in_use_too(rng, monkeypatch):
    x, fused = torch.randn(3, 5, 8, generator=rng), []
    original = torch._native_multi_head_attention
    monkeypatch.setattr(
        torch, "_native_multi_head_attention", lambda *a, **k: fused.append(1) or original(*a, **k)
    )

    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = multihead(batch_first=True)

        def forward(self, x):
            return self.attend(x, x, x)[0]

    model = Around()
    with dk.accelerate(model), torch.no_grad():
        model.attend.eval()  # the mode is on, as the module around is in training mode
        model(x)
    assert fused == [1]


def test_eval_mode_is_what_it_was(rng):
    x = torch.randn(3, 5, 8, generator=rng)
    model = encoder().eval()
    plain, before = model(x), snapshot(model)
    with dk.accelerate(model):
        state = torch.get_rng_state()
        assert torch.equal(model(x), plain)
        assert torch.equal(torch.get_rng_state(), state)
    assert_same(before, snapshot(model))


def test_an_activation_of_somebodys_own_is_watched(rng):
    model = nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0.0, batch_first=True, activation=lambda x: F.dropout(F.relu(x), 0.5)
    )
    x = torch.randn(3, 5, 8, generator=rng)
    with dk.accelerate(model) as applied:
        first = streamed(model, x)
        assert torch.equal(streamed(model, x), first)
        assert ":dropout#0" in [site.id for site in applied.sites]
        assert not torch.equal(streamed(model.eval(), x), streamed(model, x, seed=2))
