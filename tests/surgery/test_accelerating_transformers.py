"""Hugging Face models, built from small configurations: every dropout that they have, on dropkit."""

import pytest
import torch

import dropkit as dk

from .models import assert_same, snapshot

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 40,
    "max_position_embeddings": 16,
}
TOKENS = {"input_ids": torch.arange(24).view(2, 12) % 40}


def bert(attention):
    config = transformers.BertConfig(**SMALL)
    return transformers.BertModel._from_config(config, attn_implementation=attention), TOKENS


def gpt2(attention):
    config = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=40, n_positions=16)
    return transformers.GPT2Model._from_config(config, attn_implementation=attention), TOKENS


def llama(attention):
    config = transformers.LlamaConfig(**SMALL, num_key_value_heads=1, attention_dropout=0.1)
    return transformers.LlamaModel._from_config(config, attn_implementation=attention), TOKENS


def vit(attention):
    sizes = {key: SMALL[key] for key in list(SMALL)[:4]}
    config = transformers.ViTConfig(
        **sizes, image_size=8, patch_size=4, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1
    )
    model = transformers.ViTModel._from_config(config, attn_implementation=attention)
    return model, {"pixel_values": torch.linspace(-1, 1, 2 * 3 * 64).view(2, 3, 8, 8)}


def t5(attention):
    config = transformers.T5Config(d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, vocab_size=40)
    model = transformers.T5Model._from_config(config, attn_implementation="eager")
    return model, TOKENS | {"decoder_input_ids": TOKENS["input_ids"]}


def outputs(model, inputs, seed=1):
    with dk.random.stream(seed):
        result = model(**inputs)
    return result.last_hidden_state


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("make", "calls"),
    [(bert, 2), (gpt2, 2), (llama, 2), (vit, 2), (t5, 6)],  # of T5 the decoder has two a layer
)
def test_nothing_random_is_missed(make, calls, attention):
    torch.manual_seed(0)
    model, inputs = make(attention)
    model.eval()
    plain, before = outputs(model, inputs), snapshot(model)
    applied = dk.accelerate(model)
    assert torch.equal(outputs(model, inputs), plain)
    model.train()
    state = torch.get_rng_state()
    y = outputs(model, inputs)
    assert torch.equal(torch.get_rng_state(), state)  # nobody asked torch for a random number
    assert torch.equal(outputs(model, inputs), y)
    assert not torch.equal(outputs(model, inputs, seed=2), y)
    assert applied.skipped == ()
    functions = [site for site in applied.sites if site.function]
    drops = [site for site in applied.sites if not site.function]
    assert {site.rate for site in applied.sites} == {0.1}
    assert len(functions) == calls
    assert sum(isinstance(module, torch.nn.Dropout) for module in model.modules()) == len(drops)
    assert drops or make is llama
    kinds = {site.function for site in functions}
    assert kinds == {"scaled_dot_product_attention" if attention == "sdpa" and make is not t5 else "dropout"}
    y.sum().backward()
    assert torch.isfinite(torch.stack([p.grad.sum() for p in model.parameters() if p.grad is not None])).all()
    applied.revert()
    model.eval()
    assert_same(before, snapshot(model))
    model.train()
    assert not torch.equal(outputs(model, inputs), outputs(model, inputs))  # torch's masks heed no stream


@pytest.mark.parametrize("make", [bert, gpt2, t5])
def test_gradient_checkpointing_repeats_the_masks(make):
    torch.manual_seed(0)
    model, inputs = make("sdpa")
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False
    model.train()
    with dk.accelerate(model) as applied:
        found = []
        for checkpointing in (False, True):
            if checkpointing:
                model.gradient_checkpointing_enable({"use_reentrant": False})
            model.zero_grad()
            y = outputs(model, inputs)
            y.square().sum().backward()
            found.append([y, *(p.grad for p in model.parameters() if p.grad is not None)])
        assert applied.skipped == ()
    assert len(found[0]) > 10
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0], found[1])  # sums of gradients, in another order


def test_a_training_step_of_the_library_itself(tmp_path):
    torch.manual_seed(0)
    config = transformers.BertConfig(**SMALL, num_labels=3)
    model = transformers.BertForSequenceClassification(config)
    losses = []
    for _ in range(2):
        with dk.accelerate(model) as applied, dk.random.stream(1):
            loss = model(**TOKENS, labels=torch.tensor([0, 2])).loss
            loss.backward()
            losses.append(loss.item())
        assert "dropout" in [site.id for site in applied.sites]  # the head's
    assert losses[0] == losses[1]
