"""Cases 2 and 3: functions that drop, called in somebody's forward."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import dropout as imported_dropout

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded


class Calls(nn.Module):
    """Calls that heed the training flag, one that does not, and one of each spelling."""

    def __init__(self, rate=0.2):
        super().__init__()
        self.rate = rate
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = F.dropout(self.one(x), self.rate, self.training)
        x = F.dropout(F.relu(x), 0.3)
        x = torch.dropout(x, 0.15, self.training)
        x = imported_dropout(x, p=0.1, training=self.training)
        return self.two(F.alpha_dropout(x, 0.05, training=self.training))


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(16, 3)

    def forward(self, x):
        x = F.dropout2d(F.relu(self.conv(x)), 0.25, self.training)
        x = torch.feature_dropout(x, 0.2, self.training)
        return self.head(F.dropout(x.flatten(1), training=self.training))


def helper(x, rate, training):
    return F.dropout(x, p=rate, training=training)


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = 0.35

    def forward(self, x):
        return helper(torch.tanh(x), self.dropout, self.training)


class Outer(nn.Module):
    """The call is in a function that a child's forward calls; the parent calls it too."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = Inner(), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(helper(self.inner(x), 0.1, self.training))


class Attend(nn.Module):
    """``F.scaled_dot_product_attention``, as most write it, and once left on in eval mode."""

    def __init__(self):
        super().__init__()
        self.project, self.dropout = nn.Linear(8, 24), 0.2

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in self.project(x).chunk(3, -1))
        rate = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True)
        y = y + F.scaled_dot_product_attention(q, k, v, dropout_p=0.1)
        return y.transpose(1, 2).flatten(2)


CASES = [
    Case(
        "functional",
        seeded(Calls),
        (ramp(4, 6),),
        {
            ":dropout#0": Planted("dropout", 0.2),
            ":dropout#1": Planted("dropout", 0.3),
            ":dropout#2": Planted("dropout", 0.15),
            ":dropout#3": Planted("dropout", 0.1),
            ":alpha_dropout#0": Planted("alpha_dropout", 0.05),
        },
        (dk.Rule(at=":relu#0"), dk.Rule(at="one", on="input")),
    ),
    Case(
        "functional-images",
        seeded(Images),
        (ramp(5, 1, 4, 4),),
        {
            ":dropout2d#0": Planted("dropout2d", 0.25),
            ":feature_dropout#0": Planted("dropout2d", 0.2),
            ":dropout#0": Planted("dropout", 0.5),
        },
        (dk.Rule(at="hidden"), dk.Rule(at="head", on="input")),
    ),
    Case(
        "helper",
        seeded(Outer),
        (ramp(4, 6),),
        {"inner:dropout#0": Planted("dropout", 0.35), ":dropout#0": Planted("dropout", 0.1)},
        (dk.Rule(at="inner:tanh#0"), dk.Rule(at="inner", on="input")),
    ),
    Case(
        "sdpa",
        seeded(Attend),
        (ramp(3, 5, 8),),
        {
            ":scaled_dot_product_attention#0": Planted("attention", 0.2),
            ":scaled_dot_product_attention#1": Planted("attention", 0.1),
        },
        (dk.Rule(at="project", on="input"), dk.Rule(at="project")),
    ),
]
