"""An unmodified ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``, taken step by step with its own weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dropkit.nn.recurrent.cells import State, cell_of, weights_of
from dropkit.nn.recurrent.noise import Noise, Place
from dropkit.nn.recurrent.sequences import Sequences, States
from dropkit.ops import dropout


def unroll(
    rnn: nn.RNNBase,
    given: Tensor | PackedSequence,
    hx: States | None,
    noise_at: Callable[[Place], Noise],
    *,
    training: bool,
    site: str | None,
) -> tuple[Tensor | PackedSequence, States]:
    """Return what ``rnn(given, hx)`` does, with noise; without any it is the same but for rounding.

    Args:
        rnn: The network; its parameters are read, and nothing of it is changed.
        given: Its input, in any shape that it takes.
        hx: Its initial states, or None.
        noise_at: Makes the noise of each direction of each layer.
        training: Whether the dropout between layers that ``rnn`` has of its own acts.
        site: Name under which an active stream counts the masks of that dropout.
    """
    sequences = Sequences(rnn, given, hx)
    x = sequences.x
    finals: list[State] = []
    for layer in range(rnn.num_layers):
        outputs = []
        for way in ("", "_reverse") if rnn.bidirectional else ("",):
            start = tuple(states[len(finals)] for states in sequences.states)
            rows, units = start[0].shape
            place = Place(f"l{layer}{way}", rows, x.shape[0], x.shape[2], rnn.hidden_size, units, x)
            y, last = _direction(rnn, x, start, place, noise_at(place), sequences.valid)
            outputs.append(y)
            finals.append(last)
        x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
        if rnn.dropout and training and layer + 1 < rnn.num_layers:
            between = None if site is None else f"{site}:l{layer}:between"
            x = dropout(x.transpose(0, 1), rnn.dropout, training=True, site=between).transpose(0, 1)
    return sequences.output(x), sequences.final([torch.stack(states) for states in zip(*finals, strict=True)])


def _direction(
    rnn: nn.RNNBase, x: Tensor, state: State, place: Place, noise: Noise, valid: Tensor | None
) -> tuple[Tensor, State]:
    w, cell = weights_of(rnn, place.name), cell_of(rnn)
    gates = F.linear(noise.reads_input(x), w.ih, w.bias_ih)  # for all steps at once: no state is needed
    outputs: list[Tensor] = [x] * place.steps
    shown = state[0]
    for step in reversed(range(place.steps)) if place.name.endswith("_reverse") else range(place.steps):
        y, after = cell(gates[step], state, w, noise, step)
        if valid is None:
            outputs[step], shown, state = y, y, after
        else:  # behind the end of a sequence its state waits
            here = valid[step]
            outputs[step] = torch.where(here, y, 0.0)
            shown = torch.where(here, y, shown)
            state = tuple(torch.where(here, new, old) for new, old in zip(after, state, strict=True))
    return torch.stack(outputs), (shown, *state[1:])
