"""Ready-made plans on models of Hugging Face."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, ViTConfig, ViTForImageClassification

import dropkit as dk
from dropkit.core import NoMatchError
from dropkit.random import stream

from ..models import MLP


@pytest.fixture(scope="module")
def vit():
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
    )
    return ViTForImageClassification(config)


def test_drop_path_grows_with_the_blocks_of_a_vit(vit, seed):
    images = {"pixel_values": torch.randn(64, 3, 16, 16)}
    plan = dk.plan(vit, "vit-drop-path", example_inputs=images)
    by_block = {site.id.split(".layers.")[-1][0]: site.rate for site in plan.sites}
    assert by_block == pytest.approx({"0": 0.0, "1": 0.05, "2": 0.1})
    assert {site.variant for site in plan.sites} == {"drop_path"}
    rules = dk.surgery.ready("vit-drop-path", rate=1.0, from_zero=False)
    total = dk.plan(vit, rules, example_inputs=images)
    assert max(site.rate for site in total.sites) == 1.0
    vit.train()
    with plan.apply(vit), stream(seed):
        assert vit(**images).logits.shape == (64, 2)


def test_drop_path_needs_residual_branches():
    with pytest.raises(NoMatchError, match="'vit-drop-path' needs residual connections"):
        dk.plan(MLP(), "vit-drop-path", example_inputs=torch.ones(2, 6))


def test_lora_finds_queries_and_values_of_a_llama(seed):
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    model = LlamaForCausalLM(config)
    plan = dk.plan(model, "llm-lora")
    assert {site.id for site in plan.sites} == {
        f"model.layers.{layer}.self_attn.{name}_proj:input" for layer in (0, 1) for name in "qv"
    }
    words = torch.arange(12).reshape(2, 6)
    plain = model.train()(words).logits
    with dk.plan(model, dk.surgery.ready("llm-lora", model=model, rate=0.5)).apply(model), stream(seed):
        assert not torch.equal(model(words).logits, plain)
    assert torch.equal(model(words).logits, plain)


@pytest.mark.filterwarnings("ignore:.*:FutureWarning:transformers")  # peft calls what transformers will drop
def test_lora_finds_adapters_of_peft():
    from peft import LoraConfig, get_peft_model

    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    model = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    sites = dk.plan(model, "llm-lora").sites
    assert len(sites) == 4
    assert all(site.id.endswith("_proj.lora_A.default:input") for site in sites)
