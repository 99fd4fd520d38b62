"""``unidrop`` on transformers of torch and of Hugging Face: all its parts, where they are."""

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

import dropkit as dk
from dropkit.core import NoMatchError
from dropkit.random import stream

from ..models import MLP

SMALL = {"vocab_size": 20, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
IDS = torch.arange(1, 11).view(2, 5)


def bert():
    config = BertConfig(
        **SMALL, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    return BertForSequenceClassification(config)


def gpt2():
    return GPT2LMHeadModel(GPT2Config(**SMALL, n_embd=8, n_layer=2, n_head=2))


def llama():
    config = LlamaConfig(
        **SMALL, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    return LlamaForCausalLM(config)


def t5():
    config = T5Config(
        **SMALL, d_model=8, d_kv=4, num_layers=2, num_heads=2, d_ff=16, decoder_start_token_id=0
    )
    return T5ForConditionalGeneration(config)


def sites(plan):
    found = {}
    for site in plan.sites:
        found.setdefault((site.variant, site.on), []).append(site.module)
    return found


@pytest.mark.parametrize(
    ("make", "layers", "inputs", "outputs", "tokens"),
    [
        (bert, 2, 2 + 1, 6, 1),
        (gpt2, 2, 2 + 1, 2, 1),
        (llama, 2, 2 + 1, 6, 1),
        (t5, 4, 4 + 1, 18, 2),
    ],
)
def test_every_part_is_found(make, layers, inputs, outputs, tokens, seed):
    model = make()
    example = {"input_ids": IDS} | ({"decoder_input_ids": IDS} if make is t5 else {})
    plan = dk.plan(model, "unidrop", example_inputs=example)
    found = sites(plan)
    attentions = 6 if make is t5 else 2
    assert {key: len(names) for key, names in found.items()} == {
        ("attention_dropout", "attention"): attentions,
        ("dropout", "input"): inputs,
        ("dropout", "output"): outputs,
        ("layer_drop", "layer"): layers,
        ("token_dropout", "output"): tokens,
    }
    model.train()
    outputs = []
    for step in range(4):
        with plan.apply(model), stream(seed, step=step):
            result = model(**example)
            result.logits.sum().backward()
        outputs.append(result.logits)
    assert not torch.equal(outputs[0], outputs[1])
    with torch.no_grad():
        expected = model.eval()(**example).logits
        with plan.apply(model):
            assert torch.equal(expected, model(**example).logits)


def test_a_transformer_of_torch(seed):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 3), nn.Linear(8, 2))
    x = torch.randn(4, 5, 8)
    found = sites(dk.plan(model, "unidrop", example_inputs=x))
    assert found == {
        ("attention_dropout", "attention"): [f"0.layers.{k}.self_attn" for k in range(3)],
        ("dropout", "input"): [f"0.layers.{k}.linear2" for k in range(3)],
        ("layer_drop", "layer"): [f"0.layers.{k}" for k in range(3)],
    }
    rules = dk.surgery.ready("unidrop", model=model, layer_rate=1.0)
    with dk.plan(model, rules, example_inputs=x).apply(model), stream(seed):
        assert torch.equal(model(x), model[1](x))


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(NoMatchError, match=r"'unidrop' needs attention, .* has no stack"):
        dk.plan(MLP(), "unidrop", example_inputs=torch.ones(1, 6))
