"""Case 12: modules that do what most don't."""

import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded


class Frozen(nn.Module):
    """Overrides ``train``: its normalisation never trains."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.fc = nn.BatchNorm1d(6), nn.Dropout(0.2), nn.Linear(6, 3)

    def train(self, mode=True):
        super().train(mode)
        self.norm.training = False
        return self

    def forward(self, x):
        return self.fc(self.drop(self.norm(x)))


class Counting(nn.Module):
    """Overrides ``eval``, which returns itself, and keeps what it was told."""

    def __init__(self):
        super().__init__()
        self.fc, self.told = nn.Linear(6, 3), "nothing"

    def eval(self):
        self.told = "eval"
        return super().eval()

    def forward(self, x):
        return self.fc(F.dropout(x, 0.3, self.training))


class Recursive(nn.Module):
    """Calls itself twice in a forward."""

    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(6, 6), nn.Dropout(0.25)

    def forward(self, x, deep=1):
        if deep:
            return self(self(x, deep - 1), deep - 1)
        return self.drop(torch.relu(self.fc(x)))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.block, self.head = Recursive(), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.block(self.block(x)))


class Tied(nn.Module):
    """Input and output embedding are one parameter."""

    def __init__(self):
        super().__init__()
        self.embed, self.drop, self.out = nn.Embedding(7, 6), nn.Dropout(0.1), nn.Linear(6, 7, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x):
        return self.out(torch.tanh(self.drop(self.embed(x))))


class Lazy(nn.Module):
    """Was built at its first call."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.Dropout(0.3), nn.LazyLinear(3))
        self.net(torch.ones(1, 6))

    def forward(self, x):
        return self.net(x)


class Keywords(nn.Module):
    """Keyword arguments only, and a dict of dicts as the output."""

    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(6, 3), nn.Dropout(0.2)

    def forward(self, *, batch, scale=1.0):
        y = self.drop(self.fc(batch["x"])) * scale
        return {"out": y, "parts": {"half": y / 2, "double": (y * 2,)}}


class Named(nn.Module):
    """Keyword arguments, and a dict as the output."""

    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(6, 3), nn.Dropout(0.2)

    def forward(self, *, x, mask=None):
        y = self.fc(self.drop(x))
        return {"out": y, "double": y * 2, "none": mask}


class Planned(nn.Module):
    """Holds a dropkit layer and calls a dropkit op."""

    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(6, 3), dk.nn.Dropout(0.2)

    def forward(self, x):
        return dk.ops.gaussian_dropout(self.fc(self.drop(x)), 0.3, training=self.training)


class Subclass(nn.Dropout):
    """A dropout of somebody's own, with the forward of torch's."""


class Overridden(nn.Dropout):
    """A dropout of somebody's own, with a forward of its own."""

    def forward(self, x):
        return F.dropout(x * 1.0, self.p, self.training)


class ByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.p = nn.Linear(6, 3), 0.3

    def forward(self, x):
        if self.training:
            x = x * (torch.rand(x.shape) > self.p) / (1 - self.p)
        return self.fc(x)


class Adapted(nn.Module):
    """Keeps its dropout in a dict, and calls it in training mode alone, as the DoRA of peft does."""

    def __init__(self):
        super().__init__()
        self.fc, self.drops = nn.Linear(6, 3), nn.ModuleDict({"default": nn.Dropout(0.2)})

    def forward(self, x):
        return self.fc(self.drops["default"](x) if self.training else x)


class InPlace(nn.Module):
    """Calls the functions of torch's that write in place."""

    def __init__(self):
        super().__init__()
        self.fc, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = torch.dropout_(self.fc(x), 0.2, self.training)
        return self.out(torch.dropout(x, 0.1, self.training))


RULES = (dk.Rule(at="re:fc"), dk.Rule(at="re:fc", on="input"))

CASES = [
    Case("train-overridden", seeded(Frozen), (ramp(4, 6),), {"drop": Planted("dropout", 0.2)}, RULES),
    Case("eval-overridden", seeded(Counting), (ramp(4, 6),), {":dropout#0": Planted("dropout", 0.3)}, RULES),
    Case(
        "called-twice",
        seeded(Twice),
        (ramp(4, 6),),
        {"block.drop": Planted("dropout", 0.25)},
        (dk.Rule(at="block.fc"), dk.Rule(at="block:relu#0"), dk.Rule(at="block", on="input")),
    ),
    Case(
        "tied",
        seeded(Tied),
        (torch.arange(12).view(3, 4) % 7,),
        {"drop": Planted("dropout", 0.1)},
        (dk.Rule(at="embed"), dk.Rule(at=":tanh#0"), dk.Rule(at="out", on="input")),
    ),
    Case(
        "lazy",
        seeded(Lazy),
        (ramp(4, 6),),
        {"net.2": Planted("dropout", 0.3)},
        (dk.Rule(at="hidden"), dk.Rule(at="net.3", on="input")),
    ),
    Case(
        "keywords-and-nested-dicts",
        seeded(Keywords),
        {"batch": {"x": ramp(4, 6)}, "scale": 2.0},
        {"drop": Planted("dropout", 0.2)},
        RULES,
        refused="output 'parts' of the model is a dict.*wrap the model",
    ),
    Case("keywords", seeded(Named), {"x": ramp(4, 6)}, {"drop": Planted("dropout", 0.2)}, RULES),
    Case(
        "dropkit",
        seeded(Planned),
        (ramp(4, 6),),
        {"drop": Planted("dropout", 0.2), ":gaussian_dropout#0": Planted("gaussian_dropout", 0.3, False)},
        RULES,
    ),
    Case(
        "subclasses",
        seeded(lambda: nn.Sequential(Subclass(0.1), nn.Linear(6, 3), Overridden(0.2))),
        (ramp(4, 6),),
        {"0": Planted("subclass", 0.1), "2": Planted("overridden", 0.2)},
        (dk.Rule(at="1"), dk.Rule(at="0", on="input")),
    ),
    Case("in-a-dict", seeded(Adapted), (ramp(4, 6),), {"drops.default": Planted("dropout", 0.2)}, RULES),
    Case(
        "in-place",
        seeded(InPlace),
        (ramp(4, 6),),
        {":dropout#0": Planted("dropout", 0.2), ":dropout#1": Planted("dropout", 0.1)},
        RULES,
    ),
    Case(
        "by-hand",
        seeded(ByHand),
        (ramp(4, 6),),
        {":rand#0": Planted("rand", None, False)},
        RULES,
        refused=r"':rand#0' draws random numbers by hand.*odd\.py:\d+.*dropkit\.ops",
    ),
]
