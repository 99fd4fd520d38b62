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
}
