"""Case 5: recurrent modules, whose dropout acts between layers."""

import warnings

from torch import nn

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded


class Tagger(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = kind(6, 5, batch_first=True, **options)
        self.head = nn.Linear(10 if options.get("bidirectional") else 5, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def one_layer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a dropout of one layer does nothing
        return nn.Sequential(Tagger(nn.LSTM, dropout=0.4), nn.Dropout(0.1))


RULES = (dk.Rule(at="rnn"), dk.Rule(at="rnn", on="input"))

CASES = [
    Case(
        name, seeded(lambda k=kind, o=options: Tagger(k, **o)), (ramp(3, 4, 6),),
        {"rnn": Planted("recurrent", options["dropout"])}, RULES,
    )
    for name, kind, options in (
        ("lstm", nn.LSTM, {"num_layers": 2, "dropout": 0.25}),
        ("lstm-both-ways", nn.LSTM, {"num_layers": 3, "dropout": 0.2, "bidirectional": True}),
        ("gru", nn.GRU, {"num_layers": 2, "dropout": 0.3}),
        ("rnn", nn.RNN, {"num_layers": 2, "dropout": 0.3, "nonlinearity": "relu"}),
    )
] + [
    Case(
        "lstm-one-layer",
        seeded(one_layer),
        (ramp(3, 4, 6),),
        {"1": Planted("dropout", 0.1)},
        (dk.Rule(at="0.rnn"),),
    )
]  # fmt: skip
