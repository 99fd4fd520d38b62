import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError
from dropkit.random import stream
from dropkit.surgery import ready

from ..models import MLP


class Language(nn.Module):
    """A language model of separate recurrent layers, as the authors write it."""

    def __init__(self, layers=3, kind=nn.LSTM, batch_first=True):
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.rnns = nn.ModuleList(kind(8, 8, batch_first=batch_first) for _ in range(layers))
        self.decoder = nn.Linear(8, 20)

    def forward(self, x):
        h = self.words(x)
        for rnn in self.rnns:
            h, _ = rnn(h)
        return self.decoder(h)


X = torch.arange(12).reshape(3, 4)


def test_every_place_has_its_rate():
    plan = dk.plan(Language(), "awd-lstm", example_inputs=X)
    assert {site.id: (site.variant, site.rate) for site in plan.sites} == {
        "words:weight": ("embedding_dropout", 0.1),
        "words": ("locked_dropout", 0.4),
        "rnns.0:weight": ("weight_drop", 0.5),
        "rnns.1:weight": ("weight_drop", 0.5),
        "rnns.2:weight": ("weight_drop", 0.5),
        "rnns.0": ("locked_dropout", 0.25),
        "rnns.1": ("locked_dropout", 0.25),
        "rnns.2": ("locked_dropout", 0.4),
    }
    assert any("NT-ASGD" in note for note in plan.notes)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_it_is_what_its_parts_are_by_hand(kind, batch_first, seed):
    model = Language(2, kind, batch_first)
    lock = {"training": True, "batch_first": batch_first}
    with dk.plan(model, "awd-lstm").apply(model), stream(seed):
        got = model(X)
    with stream(seed):
        words = dk.nn.EmbeddingDropout(model.words, 0.1, site="words:weight")(X)
        h = dk.ops.locked_dropout(words, 0.4, site="words", **lock)
        for number, rate in enumerate((0.25, 0.4)):
            rnn = dk.nn.WeightDrop(model.rnns[number], 0.5, site=f"rnns.{number}:weight")
            h = dk.ops.locked_dropout(rnn(h)[0], rate, site=f"rnns.{number}", **lock)
        assert torch.equal(got, model.decoder(h))


def test_options_and_models_of_one_layer():
    model = Language(1)
    rules = ready("awd-lstm", model=model, weight_rate=0.2, output_rate=0.3)
    assert {site.id: site.rate for site in dk.plan(model, rules).sites} == {
        "words:weight": 0.1,
        "words": 0.4,
        "rnns.0:weight": 0.2,
        "rnns.0": 0.3,
    }


def test_what_is_lacking_is_named():
    with pytest.raises(NoMatchError, match=r"needs an nn.Embedding and nn.LSTM.*no LSTM, GRU or RNN"):
        dk.plan(MLP(), "awd-lstm")
    with pytest.raises(NoMatchError, match=r"ready plan 'awd-lstm'.*no Embedding"):
        dk.plan(nn.Sequential(nn.LSTM(3, 3)), "awd-lstm")
