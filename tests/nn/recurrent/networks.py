"""Recurrent networks of every kind, and one step of each written out."""

import torch
from torch import nn

KINDS = {
    "lstm": lambda **options: nn.LSTM(3, 5, **options),
    "projected": lambda **options: nn.LSTM(3, 5, proj_size=2, **options),
    "gru": lambda **options: nn.GRU(3, 5, **options),
    "tanh": lambda **options: nn.RNN(3, 5, **options),
    "relu": lambda **options: nn.RNN(3, 5, nonlinearity="relu", **options),
}


def network(kind, **options):
    """Return a network of 3 inputs and 5 units in fp64."""
    return KINDS[kind](dtype=torch.float64, **options)


def states(rnn, rows, rng):
    """Return initial states for ``rows`` sequences, or for a single one that is not in a batch (None)."""
    layers = rnn.num_layers * (2 if rnn.bidirectional else 1)
    sizes = [rnn.proj_size or rnn.hidden_size] + ([rnn.hidden_size] if isinstance(rnn, nn.LSTM) else [])
    batch = () if rows is None else (rows,)
    made = tuple(torch.randn(layers, *batch, size, generator=rng, dtype=torch.float64) for size in sizes)
    return made if len(made) == 2 else made[0]


def preactivations(rnn, x, h):
    """Return what the inputs and the hidden state give the gates of layer 0, apart."""
    return x @ rnn.weight_ih_l0.T + rnn.bias_ih_l0, h @ rnn.weight_hh_l0.T + rnn.bias_hh_l0


def lstm_step(rnn, x, h, c, read=None, update=None):
    """Return an LSTM's gate of the output and its new cells; ``read`` replaces ``h``, ``update`` maps candidates."""
    a, b = preactivations(rnn, x, h if read is None else read)
    enter, forget, candidate, leave = (a + b).chunk(4, -1)
    g = candidate.tanh() if update is None else update(candidate.tanh())
    return leave.sigmoid(), forget.sigmoid() * c + enter.sigmoid() * g


def gru_step(rnn, x, h, read=None, update=None):
    """Return a GRU's new state."""
    (a_r, a_z, a_n), (b_r, b_z, b_n) = (
        v.chunk(3, -1) for v in preactivations(rnn, x, h if read is None else read)
    )
    z = (a_z + b_z).sigmoid()
    n = (a_n + (a_r + b_r).sigmoid() * b_n).tanh()
    return (1 - z) * (n if update is None else update(n)) + z * h
