"""Case 6: Hugging Face models built from small configurations, with both ways to compute attention."""

import torch

import dropkit as dk
from tests.cases.case import Case, Planted, seeded

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 40,
    "max_position_embeddings": 16,
}
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
TOKENS = torch.arange(24).view(3, 8) % 40
HOW = ("eager", "sdpa")


def build(cls, config, how):
    import transformers

    found = getattr(transformers, f"{config}Config")
    return lambda **options: getattr(transformers, cls)._from_config(
        found(**options), attn_implementation=how
    )


def call(module, how, rate=0.1):
    """Return the site that attention is in a module of these models."""
    if how == "sdpa":
        return {f"{module}:scaled_dot_product_attention#0": Planted("attention", rate)}
    return {f"{module}:dropout#0": Planted("dropout", rate)}


def modules(rate, *names):
    return {name: Planted("dropout", rate) for name in names}


def bert(how):
    sites = modules(0.1, "bert.embeddings.dropout", "dropout")
    for i in range(2):
        layer = f"bert.encoder.layer.{i}"
        sites |= modules(0.1, f"{layer}.attention.output.dropout", f"{layer}.output.dropout")
        # the first holds the rate of the second, and is never called
        sites |= modules(0.2, f"{layer}.attention.self.dropout") | call(f"{layer}.attention.self", how, 0.2)
    make = build("BertForSequenceClassification", "Bert", how)
    return Case(
        f"bert-{how}",
        seeded(lambda: make(**SMALL, attention_probs_dropout_prob=0.2)),
        {"input_ids": TOKENS, "attention_mask": (TOKENS > 1).long()},
        sites,
        (dk.Rule(at="bert.encoder.layer.*.intermediate"), dk.Rule(at="classifier", on="input")),
    )


def gpt2(how):
    sites = modules(0.1, "transformer.drop")
    for i in range(2):
        block = f"transformer.h.{i}"
        sites |= modules(
            0.1, f"{block}.attn.attn_dropout", f"{block}.attn.resid_dropout", f"{block}.mlp.dropout"
        )
        sites |= call(f"{block}.attn", how)
    make = build("GPT2LMHeadModel", "GPT2", how)
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 40, "n_positions": 16}
    return Case(
        f"gpt2-{how}",
        seeded(lambda: make(**sizes, bos_token_id=1, eos_token_id=2)),
        {"input_ids": TOKENS},
        sites,
        (dk.Rule(at="transformer.h.*.mlp.act"), dk.Rule(at="transformer.h.*.mlp", on="input")),
    )


def llama(how):
    make = build("LlamaForCausalLM", "Llama", how)
    return Case(
        f"llama-{how}",
        seeded(lambda: make(**SMALL, **ENDS, num_key_value_heads=1, attention_dropout=0.2)),
        {"input_ids": TOKENS},
        call("model.layers.0.self_attn", how, 0.2) | call("model.layers.1.self_attn", how, 0.2),
        (dk.Rule(at="model.layers.*.mlp"), dk.Rule(at="lm_head", on="input")),
    )


def vit(how):
    sizes = {key: SMALL[key] for key in list(SMALL)[:4]} | {"image_size": 8, "patch_size": 4}
    rates = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.15}
    make = build("ViTForImageClassification", "ViT", how)
    sites = modules(0.1, "vit.embeddings.dropout", "vit.layers.0.dropout", "vit.layers.1.dropout")
    sites |= call("vit.layers.0.attention", how, 0.15) | call("vit.layers.1.attention", how, 0.15)
    return Case(
        f"vit-{how}",
        seeded(lambda: make(**sizes, **rates)),
        {"pixel_values": torch.linspace(-1, 1, 3 * 3 * 64).view(3, 3, 8, 8)},
        sites,
        (dk.Rule(at="vit.layers.*.mlp"), dk.Rule(at="classifier", on="input")),
    )


def t5(how):
    make = build("T5ForConditionalGeneration", "T5", how)
    sites = modules(0.1, "encoder.dropout", "decoder.dropout")
    for stack, parts in (("encoder", ["SelfAttention"]), ("decoder", ["SelfAttention", "EncDecAttention"])):
        for k, attention in enumerate(parts):
            layer = f"{stack}.block.0.layer.{k}"
            sites |= call(f"{layer}.{attention}", how) | modules(0.1, f"{layer}.dropout")
        last = f"{stack}.block.0.layer.{len(parts)}"
        sites |= modules(0.1, f"{last}.DenseReluDense.dropout", f"{last}.dropout")
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2, "vocab_size": 40}
    return Case(
        f"t5-{how}",
        seeded(lambda: make(**sizes, decoder_start_token_id=0)),
        {"input_ids": TOKENS, "decoder_input_ids": TOKENS[:, :5]},
        sites,
        (dk.Rule(at="*.DenseReluDense.act"), dk.Rule(at="lm_head", on="input")),
    )


CASES = [make(how) for make in (bert, gpt2, llama, vit, t5) for how in HOW]
