"""``llm-lora``: dropout on the inputs of low-rank adapters."""

from __future__ import annotations

from fnmatch import fnmatchcase

from torch import nn

from dropkit.core import NoMatchError
from dropkit.surgery.ready.entry import ReadyPlan
from dropkit.surgery.rules import Rule
from dropkit.surgery.tree import Tree

ADAPTERS = "*.lora_A.*"  # as PEFT calls them
# What PEFT puts adapters at by default: queries and values, by the names that families of models have for them.
PROJECTIONS = (
    "*.q_proj",
    "*.v_proj",
    "*.query",
    "*.value",
    "*.q",
    "*.v",
    "*.q_lin",
    "*.v_lin",
    "*.c_attn",
    "*.qkv_proj",
    "*.query_key_value",
)


def make(model: nn.Module | None, *, rate: float = 0.05, at: str | tuple[str, ...] = ()) -> list[Rule]:
    """Drop inputs of the adapters; in a model without them, of its query and value projections."""
    if at or model is None:
        return [Rule(at=at or ADAPTERS, on="input", rate=rate)]
    names = Tree(model).modules
    if any(fnmatchcase(name, ADAPTERS) for name in names):
        return [Rule(at=ADAPTERS, on="input", rate=rate)]
    found = tuple(pattern for pattern in PROJECTIONS if any(fnmatchcase(name, pattern) for name in names))
    if not found:
        raise NoMatchError(
            f"the model has no adapter ({ADAPTERS}), and no query or value projection ({', '.join(PROJECTIONS)}); name "
            "the layers, dropkit.surgery.ready('llm-lora', at=...)"
        )
    return [Rule(at=found, on="input", rate=rate)]


PLAN = ReadyPlan(
    name="llm-lora",
    paper='Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv:2106.09685, app. D; rate '
    'as in Dettmers et al., "QLoRA", NeurIPS 2023, arXiv:2305.14314',
    needs="adapters of PEFT, or modules with a usual name for the projections of queries and values",
    make=make,
    notes=(
        "llm-lora: with PEFT this is its lora_dropout, which should then be 0; without adapters the same input of the "
        "projection itself is dropped, which is a departure: LoRA leaves the path through the frozen weights alone",
    ),
)
