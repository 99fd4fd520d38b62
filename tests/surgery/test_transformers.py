"""Attention and residual branches of Hugging Face models, in either way that they compute attention."""

import pytest
import torch
from transformers import (
    AttentionInterface,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    T5Config,
    T5Model,
    ViTConfig,
    ViTModel,
)

import dropkit as dk
from dropkit.ops import attention

from .models import assert_same, snapshot, streamed

IDS = torch.arange(1, 15).view(2, 7)
SMALL = {"vocab_size": 20, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


def bert(**options):
    return BertModel(BertConfig(**SMALL, **SIZES, **options)), {"input_ids": IDS}


def gpt2(**options):
    return GPT2Model(GPT2Config(**SMALL, n_embd=8, n_layer=2, n_head=2, **options)), {"input_ids": IDS}


def llama(**options):
    config = LlamaConfig(**SMALL, **SIZES, num_key_value_heads=1, **options)
    return LlamaModel(config), {"input_ids": IDS}


def vit(**options):
    config = ViTConfig(**SIZES, image_size=8, patch_size=4, **options)
    return ViTModel(config), {"pixel_values": torch.linspace(-1, 1, 384).view(2, 3, 8, 8)}


def t5(**options):
    config = T5Config(**SMALL, d_model=8, d_kv=4, num_layers=2, num_heads=2, d_ff=16, **options)
    return T5Model(config), {"input_ids": IDS, "decoder_input_ids": IDS}


MODELS = [(bert, 2, 4), (gpt2, 2, 4), (llama, 2, 4), (vit, 2, 4), (t5, 6, 10)]


def hidden(model, example, seed=1):
    return streamed(lambda: model(**example).last_hidden_state, seed=seed)


@pytest.mark.parametrize(("make", "attentions", "branches"), MODELS)
@pytest.mark.parametrize("how", ["sdpa", "eager"])
def test_attention_is_dropped_in_place_of_what_the_model_drops(make, attentions, branches, how):
    model, example = make(attn_implementation=how)
    model.train()
    dk.set_rate(model, 0.0, "Dropout") if make not in (llama,) else None
    before = snapshot(model)
    plan = dk.plan(model, [dk.Rule(at="attention", rate=0.5)], example_inputs=example)
    assert len(plan.sites) == attentions
    function = {"sdpa": "scaled_dot_product_attention", "eager": "softmax"}[how]
    assert all(site.id.endswith(f":{function}#0:attention") for site in plan.sites)
    with plan.apply(model):
        one, same, other = hidden(model, example), hidden(model, example), hidden(model, example, seed=2)
        assert torch.equal(one, same)  # nothing but the plan is random: the model's own is replaced
        assert not torch.equal(one, other)
    assert_same(before, snapshot(model))
    silent = dk.plan(model, [dk.Rule(at="attention", rate=0.0)], example_inputs=example)
    with silent.apply(model):
        torch.testing.assert_close(hidden(model, example), hidden(model.eval(), example))


@pytest.mark.parametrize(("make", "attentions", "branches"), MODELS)
def test_without_its_branches_a_model_computes_little(make, attentions, branches):
    model, example = make()
    model.train()
    plan = dk.plan(model, [dk.Rule(at="residual", variant="drop_path", rate=1.0)], example_inputs=example)
    assert len(plan.sites) == (branches if make is not vit else branches // 2)  # one module for two branches
    assert all(site.on == "branch" and not site.function for site in plan.sites)
    inputs = []
    blocks = {
        bert: "BertLayer",
        gpt2: "GPT2Block",
        llama: "LlamaDecoderLayer",
        vit: "ViTLayer",
        t5: "T5Block",
    }
    layers = [m for m in model.modules() if type(m).__name__ == blocks[make]]

    def note(module, args, output):
        inputs.append((args[0], output[0] if isinstance(output, tuple) else output))

    hooks = [layer.register_forward_hook(note) for layer in layers]
    before = snapshot(model)
    with plan.apply(model):
        hidden(model, example)
    assert_same(before, snapshot(model))
    for hook in hooks:
        hook.remove()
    assert len(inputs) == len(layers)
    for x, y in inputs:
        if make is bert:  # normalises what it adds
            torch.testing.assert_close(y, layers[0].output.LayerNorm(y))
        else:
            assert torch.equal(x, y)


def by_hand(module, query, key, value, attention_mask, scaling=None, **_):
    site = f"encoder.layer.{module.layer_idx}.attention.self:scaled_dot_product_attention#0:attention"
    y = attention(
        query, key, value, mask=attention_mask, scale=scaling, rate=0.3, training=module.training, site=site
    )
    return y.transpose(1, 2).contiguous(), None


def test_training_bert_equals_attention_written_by_hand():
    AttentionInterface.register("by_hand", by_hand)
    model, example = bert(hidden_dropout_prob=0.0, attn_implementation="sdpa")
    hand, _ = bert(hidden_dropout_prob=0.0, attn_implementation="by_hand")
    for number, layer in enumerate(hand.encoder.layer):
        layer.attention.self.layer_idx = number
    hand.load_state_dict(model.state_dict())
    dk.plan(model, [dk.Rule(at="attention", rate=0.3)], example_inputs=example).apply(model)
    found = []
    for one in (model.train(), hand.train()):
        optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
        with dk.random.stream(3) as stream:
            for _ in range(3):
                loss = one(**example).last_hidden_state[:, 0].square().sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                stream.advance()
        found.append([p.detach() for p in one.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
