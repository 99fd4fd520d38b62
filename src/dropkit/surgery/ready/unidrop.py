"""``unidrop``: dropout of features, of layers and of tokens at once, for transformers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from dropkit.core import NoMatchError
from dropkit.surgery.ready.entry import ReadyPlan
from dropkit.surgery.rules import Rule
from dropkit.surgery.tree import Tree

# Parts of transformers by the names that families of models have for them; of a model, those that it has are used.
FEED_FORWARD = (  # the second map of the feed-forward part, whose input the activation has made
    "*.linear2",
    "*.fc2",
    "*.lin2",
    "*.wo",
    "*.mlp.c_proj",
    "*.mlp.down_proj",
    "*.mlp.dense_4h_to_h",
    "re:.*[0-9]\\.output\\.dense",
)
PROJECTIONS = (
    "*.q_proj",
    "*.k_proj",
    "*.v_proj",
    "*.query",
    "*.key",
    "*.value",
    "*.q_lin",
    "*.k_lin",
    "*.v_lin",
    "*.SelfAttention.[qkv]",
    "*.EncDecAttention.[qkv]",
    "*.c_attn",
    "*.qkv",
    "*.qkv_proj",
    "*.query_key_value",
)
HEADS = ("classifier", "lm_head", "qa_outputs", "score", "head")
TOKENS = (
    "*word_embeddings",
    "*wte",
    "*embed_tokens",
    "*tok_embeddings",
    "*token_embedding",
    "*patch_embeddings",
)
STACKS = ("layers.*", "*.layers.*", "*.layer.*", "h.*", "*.h.*", "*.block.*", "*.blocks.*")


def make(
    model: nn.Module | None,
    *,
    rate: float = 0.1,
    layer_rate: float = 0.1,
    token_rate: float = 0.2,
    untouched: float = 0.5,
    batch_first: bool = True,
) -> list[Rule]:
    """Drop attention weights, activations, queries, keys and values, what the head is given, layers, and tokens."""
    names = None if model is None else [name for name in Tree(model).aliases if name]
    layers = STACKS if model is None else _stacks(model)
    if not layers:
        raise NoMatchError(
            "the model has no stack of two or more layers of one class in an nn.ModuleList or nn.Sequential"
        )
    parts = [
        Rule(at="attention", variant="attention_dropout", rate=rate),  # FD-1
        _named(FEED_FORWARD, names, on="input", rate=rate),  # FD-2
        _named(PROJECTIONS, names, rate=rate),  # FD-3
        _named(HEADS, names, on="input", rate=rate),  # FD-4
        Rule(at=layers, variant="layer_drop", rate=layer_rate),
        _named(TOKENS, names, variant="token_dropout", rate=token_rate, options={"untouched": untouched})
        if batch_first
        else None,
    ]
    return [rule for rule in parts if rule is not None]


def _named(patterns: Iterable[str], names: list[str] | None, **rule: object) -> Rule | None:
    """Return a rule for those of ``patterns`` that any of ``names`` matches; None where none does."""
    found = tuple(p for p in patterns if names is None or any(_matches(name, p) for name in names))
    return Rule(at=found, **rule) if found else None  # type: ignore[arg-type]


def _matches(name: str, pattern: str) -> bool:
    return bool(re.fullmatch(pattern[3:], name)) if pattern.startswith("re:") else fnmatchcase(name, pattern)


def _stacks(model: nn.Module) -> tuple[str, ...]:
    """Return the outermost stacks of layers of one class, as globs over their layers."""
    found: list[str] = []
    for name, module in Tree(model).modules.items():
        children = list(module.children())
        alike = len(children) > 1 and len({type(child) for child in children}) == 1
        whole = alike and any(True for _ in children[0].children())
        inside = any(name == one or name.startswith(f"{one}.") for one in found)
        if isinstance(module, (nn.ModuleList, nn.Sequential)) and whole and not inside:
            found.append(name)
    return tuple(f"{name}.*" if name else "[0-9]*" for name in found)


PLAN = ReadyPlan(
    name="unidrop",
    paper='Wu et al., "UniDrop: A Simple yet Effective Technique to Improve Transformer without Extra Cost", NAACL '
    "2021, arXiv:2104.04946, sec. 3",
    needs="attention, which is found by following example_inputs, and a stack of layers",
    make=make,
    notes=(
        "unidrop: the rates are to be tuned, as in the paper; dropped tokens become zeros and the others are scaled, "
        "where the paper shortens the sequence",
        "unidrop: parts go by their usual names; the query, key and value maps inside nn.MultiheadAttention are one "
        "parameter, whose output no rule reaches, and parts of other names are left out: see the sites",
    ),
)
