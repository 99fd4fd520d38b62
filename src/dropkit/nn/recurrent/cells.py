"""One step of PyTorch's recurrent networks, with the places where noise may enter."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dropkit.nn.recurrent.noise import Noise


class Weights(NamedTuple):
    """The parameters of one direction of one layer; what the network does not have is None."""

    ih: Tensor
    hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    hr: Tensor | None


State: TypeAlias = tuple[
    Tensor, ...
]  # the hidden state, shape (N, units); of an LSTM also the cells, (N, cells)
Cell: TypeAlias = Callable[[Tensor, State, Weights, Noise, int], tuple[Tensor, State]]


def weights_of(rnn: nn.RNNBase, name: str) -> Weights:
    """Return the weights of the direction of a layer that is called ``name``."""
    return Weights(
        getattr(rnn, f"weight_ih_{name}"),
        getattr(rnn, f"weight_hh_{name}"),
        getattr(rnn, f"bias_ih_{name}") if rnn.bias else None,
        getattr(rnn, f"bias_hh_{name}") if rnn.bias else None,
        getattr(rnn, f"weight_hr_{name}") if rnn.proj_size else None,
    )


def cell_of(rnn: nn.RNNBase) -> Cell:
    """Return the step that ``rnn`` takes: from what its input gives the gates, to its output and new state."""
    if isinstance(rnn, nn.LSTM):
        return _lstm
    if isinstance(rnn, nn.GRU):
        return _gru
    return _tanh if rnn.mode == "RNN_TANH" else _relu


def _lstm(gates: Tensor, state: State, w: Weights, noise: Noise, step: int) -> tuple[Tensor, State]:
    h, c = state
    gates = gates + F.linear(noise.reads(h, step), w.hh, w.bias_hh)
    enter, forget, candidate, leave = gates.chunk(4, -1)
    update = noise.updates(candidate.tanh(), step)
    fresh = forget.sigmoid() * c + enter.sigmoid() * update
    shown = noise.shows(leave.sigmoid() * fresh.tanh(), step)
    projected = shown if w.hr is None else F.linear(shown, w.hr)
    after = noise.becomes(projected, h, step)
    return after, (after, noise.remembers(fresh, c, step))


def _gru(gates: Tensor, state: State, w: Weights, noise: Noise, step: int) -> tuple[Tensor, State]:
    (h,) = state
    recurrent = F.linear(noise.reads(noise.shows(h, step), step), w.hh, w.bias_hh)
    (r, z, n), (hr, hz, hn) = gates.chunk(3, -1), recurrent.chunk(3, -1)
    update = noise.updates((n + (r + hr).sigmoid() * hn).tanh(), step)
    keep = (z + hz).sigmoid()
    after = noise.becomes((1.0 - keep) * update + keep * h, h, step)
    return noise.shows(after, step), (after,)


def _elman(
    squash: Callable[[Tensor], Tensor], gates: Tensor, state: State, w: Weights, noise: Noise, step: int
) -> tuple[Tensor, State]:
    (h,) = state
    gates = gates + F.linear(noise.reads(noise.shows(h, step), step), w.hh, w.bias_hh)
    after = noise.becomes(noise.updates(squash(gates), step), h, step)
    return noise.shows(after, step), (after,)


def _tanh(gates: Tensor, state: State, w: Weights, noise: Noise, step: int) -> tuple[Tensor, State]:
    return _elman(torch.tanh, gates, state, w, noise, step)


def _relu(gates: Tensor, state: State, w: Weights, noise: Noise, step: int) -> tuple[Tensor, State]:
    return _elman(torch.relu, gates, state, w, noise, step)
