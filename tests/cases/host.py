"""Case 13: randomness of Python and NumPy, which no seed of torch decides."""

import random

import numpy as np
from torch import nn

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded


class Skipping(nn.Module):
    """LayerDrop as many write it."""

    def __init__(self, p=0.5):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(4)])
        self.drop, self.head, self.p = nn.Dropout(0.1), nn.Linear(6, 3), p

    def forward(self, x):
        for layer in self.layers:
            if self.training and random.random() < self.p:
                continue
            x = layer(x)
        return self.head(self.drop(x))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.own = nn.Linear(6, 3), np.random.default_rng(3)

    def forward(self, x):
        if self.training:
            x = x * np.random.rand() + self.own.normal()
        return self.fc(x)


HOST = Planted("Python or NumPy randomness", None, False)

CASES = [
    Case(
        "python",
        seeded(Skipping),
        (ramp(4, 6),),
        {"drop": Planted("dropout", 0.1), ":random": HOST},
        (dk.Rule(at="head", on="input"),),
        refused="Python's or NumPy's random numbers.*dropkit.ops",
    ),
    Case(
        "numpy",
        seeded(lambda: nn.Sequential(Scaled(), nn.Dropout(0.2))),
        (ramp(4, 6),),
        {"0:random": HOST, "1": Planted("dropout", 0.2)},
        (dk.Rule(at="0.fc", on="input"),),
        refused="'0' uses Python's or NumPy's random numbers.*dropkit.ops",
    ),
]
