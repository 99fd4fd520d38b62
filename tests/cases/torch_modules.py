"""Case 1: dropout modules of torch, wherever a model can hold them."""

from torch import nn

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded


class Shared(nn.Module):
    """One dropout under two names."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 6), nn.Linear(6, 3)
        self.first = nn.Dropout(0.2)
        self.second = self.first

    def forward(self, x):
        return self.two(self.second(self.one(self.first(x))))


class Every(nn.Module):
    """Every dropout module of torch, on the shapes that it is for."""

    def __init__(self):
        super().__init__()
        self.units, self.rows = nn.Dropout(0.15), nn.Dropout1d(0.2)
        self.planes, self.boxes = nn.Dropout2d(0.25), nn.Dropout3d(0.3)
        self.alpha, self.features = nn.AlphaDropout(0.1), nn.FeatureAlphaDropout(0.05)
        self.head = nn.Linear(16, 3)

    def forward(self, x):  # (N, 4, 2, 2, 4)
        x = self.boxes(self.features(x))
        x = self.planes(x.flatten(3))
        x = self.rows(x.flatten(2))
        return self.head(self.alpha(self.units(x)))


def nested():
    inner = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Dropout(0.3))
    return nn.Sequential(nn.Dropout(0.1), nn.Sequential(inner, nn.Dropout(0.0)), nn.Linear(6, 3))


def normalised():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.4), nn.Flatten(), nn.Linear(16, 3)
    )


CASES = [
    Case(
        "root", lambda: nn.Dropout(0.3), (ramp(4, 6),), {"": Planted("dropout", 0.3)}, (dk.Rule(at="input"),)
    ),
    Case(
        "nested",
        seeded(nested),
        (ramp(4, 6),),
        {"0": Planted("dropout", 0.1), "1.0.2": Planted("dropout", 0.3), "1.1": Planted("dropout", 0.0)},
        (dk.Rule(at="hidden"), dk.Rule(at="1.0.0", on="input")),
    ),
    Case(
        "shared",
        seeded(Shared),
        (ramp(4, 6),),
        {"first": Planted("dropout", 0.2)},
        (dk.Rule(at="one"), dk.Rule(at="two", on="input")),
    ),
    Case(
        "every",
        seeded(Every),
        (ramp(5, 4, 2, 2, 4),),
        {
            "features": Planted("feature_alpha_dropout", 0.05),
            "boxes": Planted("dropout3d", 0.3),
            "planes": Planted("dropout2d", 0.25),
            "rows": Planted("dropout1d", 0.2),
            "units": Planted("dropout", 0.15),
            "alpha": Planted("alpha_dropout", 0.1),
        },
        (dk.Rule(at="head", on="input"),),
    ),
    Case(
        "batch-norm",
        seeded(normalised),
        (ramp(5, 1, 4, 4),),
        {"3": Planted("dropout2d", 0.4)},
        (dk.Rule(at="conv", variant="spatial_dropout2d"), dk.Rule(at="hidden")),
    ),
]
