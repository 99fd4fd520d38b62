"""Plans whose variant is a wrapper: recurrent networks and embeddings, each in its place."""

import copy
import gc
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import dropkit as dk
from dropkit.core import PlanError
from dropkit.random import stream
from dropkit.surgery import attached

from .models import assert_same, snapshot

RECURRENT = {
    "variational_rnn": (dk.nn.VariationalRNN, {"input_rate": 0.25}),
    "recurrent_dropout": (dk.nn.RecurrentDropout, {"each_step": False}),
    "zoneout": (dk.nn.Zoneout, {"cell_rate": 0.25}),
    "rnn_drop": (dk.nn.RNNDrop, {}),
}
NETWORKS = {
    "lstm": lambda: nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True, dropout=0.5),
    "gru": lambda: nn.GRU(6, 5, batch_first=True),
    "rnn": lambda: nn.RNN(6, 5, 2, batch_first=True),
}


class Reader(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.embedding = nn.Embedding(11, 6, padding_idx=0)
        self.rnn = rnn
        self.head = nn.Linear(5 * (1 + rnn.bidirectional), 3)

    def forward(self, tokens):
        return self.head(self.rnn(self.embedding(tokens))[0][:, -1])


def trained(model, tokens, seed):
    optimizer, found = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9), []
    with stream(seed):
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(tokens).square().mean()
            loss.backward()
            optimizer.step()
            dk.step()
            found.append(loss.item())
    return found


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", RECURRENT)
def test_training_with_a_plan_is_training_with_the_wrapper_written_by_hand(name, network, seed, rng):
    wrapper, options = RECURRENT[name]
    model, tokens = Reader(NETWORKS[network]()), torch.randint(11, (4, 5), generator=rng)
    hand, keys, inside = copy.deepcopy(model), list(model.state_dict()), id(model.rnn)
    hand.rnn = wrapper(hand.rnn, 0.5, site="rnn", **options)
    hand.rnn.bidirectional = model.rnn.bidirectional
    made = dk.plan(model, [dk.Rule(at="recurrent", variant=name, rate=0.5, options=options)])
    assert [site.id for site in made.sites] == ["rnn"]
    assert type(made).from_json(made.to_json()) == made
    applied = made.apply(model)
    assert trained(model, tokens, seed) == trained(hand, tokens, seed)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), hand.parameters(), strict=True))
    assert list(model.state_dict()) == keys
    assert id(model.rnn) == inside
    model.eval(), hand.eval()
    assert torch.equal(model(tokens), hand(tokens))  # zoneout takes its mean there
    applied.revert()
    assert torch.equal(model(tokens), Reader.forward(model, tokens))


@pytest.mark.parametrize("name", RECURRENT)
def test_packed_sequences_and_states_go_through(name, seed, rng):
    wrapper, _ = RECURRENT[name]
    model = nn.LSTM(6, 5)
    x, state = torch.randn(4, 3, 6, generator=rng), torch.randn(1, 3, 5, generator=rng)
    packed = pack_padded_sequence(x, torch.tensor([4, 3, 1]))
    hand = wrapper(copy.deepcopy(model), 0.5, site=":output")
    with dk.plan(model, [dk.Rule(at="LSTM", variant=name, rate=0.5)]).apply(model):
        with stream(seed):
            got, (h, c) = model(packed, hx=(state, state))
        with stream(seed):
            expected, (h2, c2) = hand(packed, (state, state))
    assert torch.equal(got.data, expected.data)
    assert torch.equal(h, h2)
    assert torch.equal(c, c2)


def test_a_wrapper_reads_the_weights_that_another_site_dropped(seed, rng):
    model, x = nn.LSTM(6, 5), torch.randn(4, 3, 6, generator=rng)
    rules = [
        dk.Rule(at="re:", variant="weight_drop", rate=1.0),
        dk.Rule(at="re:", variant="zoneout", rate=0.5),
    ]
    bare = copy.deepcopy(model)
    with torch.no_grad():
        bare.weight_hh_l0.zero_()
    with dk.plan(model, rules).apply(model), stream(seed):
        y = model(x)[0]
    with dk.plan(bare, rules[1:]).apply(bare), stream(seed):
        assert torch.equal(y, bare(x)[0])


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"max_norm": 1.0}])
def test_embedding_dropout_is_that_of_the_wrapper(options, seed, rng):
    model, tokens = nn.Embedding(11, 6, **options), torch.randint(11, (4, 5), generator=rng)
    hand = dk.nn.EmbeddingDropout(copy.deepcopy(model), 0.5, site=":weight")
    found = []
    with dk.plan(model, [dk.Rule(at="embedding", variant="embedding_dropout", rate=0.5)]).apply(model):
        for call, own in ((lambda: model(input=tokens), model), (lambda: hand(tokens), hand.embedding)):
            with stream(seed):
                y = call()
            y.square().sum().backward()
            found.append((y, own.weight.grad, own.weight))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_drop_connect_can_have_a_mask_a_sample(seed, rng):
    model, x = nn.Sequential(nn.Linear(6, 4)), torch.randn(5, 6, generator=rng)
    hand = dk.nn.DropConnect(model[0], 0.5, per_sample=True, site="0:weight")
    given = dk.Rule(at="0", variant="drop_connect", rate=0.5, options={"per_sample": True})
    with stream(seed):
        expected = hand(x)
    with dk.plan(model, [given]).apply(model), stream(seed):
        assert torch.equal(model(x), expected)
    with pytest.raises(PlanError, match="per_sample=True needs Linear or Conv1d/2d/3d, got Bilinear"):
        dk.plan(
            nn.Bilinear(2, 2, 2), [dk.Rule(at="re:", variant="drop_connect", options={"per_sample": True})]
        )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"at": "Linear"}, "VariationalRNN needs an nn.LSTM, nn.GRU or nn.RNN, got nn.Linear"),
        ({"at": "head"}, "got nn.Linear"),
        (
            {"at": "LSTM", "on": "input"},
            "'variational_rnn' acts inside of a recurrent module, got on='input'",
        ),
        ({"at": "LSTM", "on": "weight"}, "on='weight' is not supported by variant 'variational_rnn'"),
        ({"at": "input"}, "acts inside of a module, not on its input"),
        ({"at": "LSTM", "options": {"inputrate": 0.2}}, "did you mean 'input_rate'"),
        ({"at": "LSTM", "options": {"input_rate": 2.0}}, r"rule at 'LSTM': .*must be in \[0, 1\], got 2.0"),
    ],
)
def test_what_is_no_recurrent_network_is_refused(given, text):
    with pytest.raises(PlanError, match=text):
        dk.plan(Reader(nn.LSTM(6, 5)), [dk.Rule(variant="variational_rnn", **given)])


def test_cells_among_recurrent_modules_are_left_out_with_a_note():
    model = nn.ModuleList([nn.LSTM(6, 5), nn.LSTMCell(6, 5)])
    made = dk.plan(model, [dk.Rule(at="recurrent", variant="zoneout")])
    assert [site.id for site in made.sites] == ["0"]
    assert any("got nn.LSTMCell" in note for note in made.notes)


def test_apply_then_revert_leaves_no_trace_and_nothing_leaks(seed, rng):
    model, tokens = Reader(nn.LSTM(6, 5)), torch.randint(11, (4, 5), generator=rng)
    before, y = snapshot(model), model(tokens)
    rules = [
        dk.Rule(at="recurrent", variant="variational_rnn", rate=0.5),
        dk.Rule(at="embedding", variant="embedding_dropout", rate=0.5),
    ]
    made, counts = dk.plan(model, rules), []
    for _ in range(3):
        for _ in range(334):
            made.apply(model).revert()
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 50
    assert_same(snapshot(model), before)
    assert torch.equal(model(tokens), y)
    made.apply(model)
    with stream(seed):
        z = model(tokens)
    assert not torch.equal(z, y)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with stream(seed):
            assert torch.equal(other(tokens), z)
        attached(other)[0].revert()
        assert torch.equal(other(tokens), y)


def test_prediction_samples_what_is_inside(seed, rng):
    model, tokens = Reader(nn.LSTM(6, 5, batch_first=True)).eval(), torch.randint(11, (4, 5), generator=rng)
    with dk.plan(model, [dk.Rule(at="recurrent", variant="variational_rnn", rate=0.5)]).apply(model):
        y = model(tokens)
        assert dk.predict(model, tokens, members=4, seed=seed).variance.max() > 0
        assert torch.equal(model(tokens), y)
