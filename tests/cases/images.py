"""Case 9: digit classifiers as PyPI's ``ccexam`` writes them: one without dropout, one with two sites."""

from torch import nn

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded


class Classifier(nn.Module):
    def __init__(self, features, classifier):
        super().__init__()
        self.features, self.classifier = features, classifier

    def forward(self, x):
        return self.classifier(self.features(x).flatten(start_dim=1))


def mnist():
    features = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    return Classifier(features, nn.Sequential(nn.Linear(8 * 4, 12), nn.ReLU(), nn.Linear(12, 10)))


def svhn():
    def block(inputs, outputs):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )

    return Classifier(
        nn.Sequential(block(3, 4), block(4, 8)),
        nn.Sequential(
            nn.Dropout(0.3), nn.Linear(8 * 4, 12), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(12, 10)
        ),
    )


RULES = (dk.Rule(at="input", rate=0.1), dk.Rule(at="hidden"), dk.Rule(at="classifier.1", on="input"))

CASES = [
    Case("ccexam-mnist", seeded(mnist), (ramp(3, 1, 8, 8),), {}, RULES, refused="not random.*no dropout"),
    Case(
        "ccexam-svhn",
        seeded(svhn),
        (ramp(3, 3, 8, 8),),
        {"classifier.0": Planted("dropout", 0.3), "classifier.3": Planted("dropout", 0.3)},
        RULES,
    ),
]
