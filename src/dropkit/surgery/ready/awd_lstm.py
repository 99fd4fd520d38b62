"""``awd-lstm``: the dropouts of the weight-dropped LSTM language model."""

from __future__ import annotations

from typing import Any

from torch import nn

from dropkit.core import NoMatchError
from dropkit.surgery.ready.entry import ReadyPlan
from dropkit.surgery.rules import Rule
from dropkit.surgery.tree import Tree


def make(
    model: nn.Module | None,
    *,
    weight_rate: float = 0.5,
    embedding_rate: float = 0.1,
    input_rate: float = 0.4,
    hidden_rate: float = 0.25,
    output_rate: float = 0.4,
    batch_first: bool | None = None,
) -> list[Rule]:
    """Drop hidden-to-hidden weights, words, and locked features before, between and after the recurrent layers."""
    names: list[str] = []
    layout = bool(batch_first)
    if model is not None:
        found = {name: m for name, m in Tree(model).modules.items() if isinstance(m, nn.RNNBase)}
        if not found:
            raise NoMatchError("the model has no LSTM, GRU or RNN")
        names = list(found)
        if batch_first is None:
            layout = found[names[0]].batch_first
    locked: dict[str, Any] = {"variant": "locked_dropout", "options": {"batch_first": layout}}
    rules = [
        Rule(at="embedding", on="weight", variant="embedding_dropout", rate=embedding_rate),
        Rule(at="embedding", rate=input_rate, **locked),
        Rule(at="recurrent", on="weight", variant="weight_drop", rate=weight_rate),
    ]
    if len(names) > 1:
        rules.append(Rule(at=tuple(names[:-1]), rate=hidden_rate, **locked))
    return [*rules, Rule(at=names[-1] if names else "recurrent", rate=output_rate, **locked)]


PLAN = ReadyPlan(
    name="awd-lstm",
    paper='Merity, Keskar and Socher, "Regularizing and Optimizing LSTM Language Models", ICLR 2018, arXiv:1708.02182, '
    "sec. 2, 4 and 5",
    needs="an nn.Embedding and nn.LSTM, GRU or RNN modules on sequences with a batch axis",
    make=make,
    notes=(
        "awd-lstm: one module a layer, as in the authors' code; between layers inside of one module nothing is "
        "dropped but what its own dropout= drops",
        "awd-lstm: hidden_rate is that of the authors' code for Penn Treebank; they also average weights (NT-ASGD), "
        "penalise activations and their change (AR, TAR), tie weights and vary the length of sequences",
    ),
)
