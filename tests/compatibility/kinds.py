"""Kinds of attachment: a model that shows each, and the rules that attach it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk


class Net(nn.Module):
    """Linear layers, an activation of either kind, and a residual branch."""

    def __init__(self):
        super().__init__()
        self.up, self.act, self.inner, self.down = (
            nn.Linear(6, 8),
            nn.ReLU(),
            nn.Linear(8, 8),
            nn.Linear(8, 3),
        )

    def forward(self, x):
        x = self.act(self.up(x))
        return self.down(x + F.relu(self.inner(x)))


class Attention(nn.Module):
    """One sequence through multi-head attention, on a residual branch."""

    def __init__(self):
        super().__init__()
        self.attention, self.down = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        x = x[None]
        return self.down(x + self.attention(x, x, x, need_weights=False)[0])


class Recurrent(nn.Module):
    """One sequence through an LSTM."""

    def __init__(self):
        super().__init__()
        self.lstm, self.down = nn.LSTM(6, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.down(self.lstm(x[None])[0])


class Stack(nn.Module):
    """Layers of one shape."""

    def __init__(self):
        super().__init__()
        self.layers, self.down = nn.ModuleList(nn.Linear(6, 6) for _ in range(4)), nn.Linear(6, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.down(x)


class Kind(NamedTuple):
    """One kind: how to make the model, its input, and the rules."""

    make: Callable[[], nn.Module]
    x: Callable[[], torch.Tensor]
    rules: list[dk.Rule]


def rows():
    return torch.linspace(-1, 1, 60).reshape(10, 6)


KINDS = {
    "a module's output": Kind(Net, rows, [dk.Rule(at="act", rate=0.5)]),
    "a module's input": Kind(Net, rows, [dk.Rule(at="down", on="input", rate=0.5)]),
    "the model's input": Kind(Net, rows, [dk.Rule(at="input", rate=0.5)]),
    "a function call": Kind(Net, rows, [dk.Rule(at=":relu#0", rate=0.5)]),
    "a weight": Kind(Net, rows, [dk.Rule(at="inner", on="weight", variant="drop_connect", rate=0.5)]),
    "recurrent weights": Kind(
        Recurrent, rows, [dk.Rule(at="lstm", on="weight", variant="weight_drop", rate=0.5)]
    ),
    "a residual branch": Kind(Net, rows, [dk.Rule(at="residual", variant="drop_path", rate=0.5)]),
    "a whole layer": Kind(Stack, rows, [dk.Rule(at="layers.*", variant="layer_drop", rate=0.5)]),
    "inside a recurrent module": Kind(
        Recurrent, rows, [dk.Rule(at="recurrent", variant="variational_rnn", rate=0.5)]
    ),
    "a variant that learns": Kind(Net, rows, [dk.Rule(at="act", variant="concrete_dropout", rate=0.5)]),
    "attention probabilities": Kind(Attention, rows, [dk.Rule(at="attention", rate=0.5)]),
}
