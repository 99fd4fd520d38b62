"""The shapes in which PyTorch's recurrent networks take sequences, and one shape for all of them."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from dropkit.core import ShapeError

States: TypeAlias = "Tensor | tuple[Tensor, Tensor]"  # a hidden state; of an LSTM, with its memory cells


class Sequences:
    """Sequences of one batch as ``(L, N, features)``, and the way back.

    Args:
        rnn: Network that they are for.
        given: Its input: ``(L, N, C)``, ``(N, L, C)``, ``(L, C)`` or packed.
        hx: Its initial states as given with it, or None: zeros.

    Raises:
        ShapeError: The input has another rank or no step, or the states do not go with it.
        RuntimeError: PyTorch's own, where a size is not what the network needs.
    """

    def __init__(self, rnn: nn.RNNBase, given: Tensor | PackedSequence, hx: States | None) -> None:
        self._rnn = rnn
        self._given = given
        self._batched = True
        self._lengths: Tensor | None = None
        self.valid: Tensor | None = None  # (L, N, 1), False behind the end of a sequence
        if isinstance(given, PackedSequence):
            self.x, self._lengths = pad_packed_sequence(given)
            steps = torch.arange(self.x.shape[0]).unsqueeze(1)
            self.valid = (steps < self._lengths).unsqueeze(2).to(self.x.device)
            checked, sizes = given.data, given.batch_sizes
        else:
            if given.ndim not in (2, 3):
                raise ShapeError(
                    f"{type(rnn).__name__} needs a batch of sequences (3 axes) or a sequence (2 axes), got "
                    f"{tuple(given.shape)}"
                )
            self._batched = given.ndim == 3
            self.x = given if self._batched else given.unsqueeze(1)
            if self._batched and rnn.batch_first:
                self.x = given.transpose(0, 1)
            checked, sizes = (self.x.transpose(0, 1) if rnn.batch_first else self.x), None
        if self.x.shape[0] == 0:
            raise ShapeError(
                f"{type(rnn).__name__} needs at least one step, got {tuple(self.x.shape)} as (L, N, C)"
            )
        self.states = self._initial(hx)
        rnn.check_forward_args(checked, self.states if isinstance(rnn, nn.LSTM) else self.states[0], sizes)  # type: ignore[arg-type]

    def _initial(self, hx: States | None) -> tuple[Tensor, ...]:
        rnn, rows = self._rnn, self.x.shape[1]
        layers = rnn.num_layers * (2 if rnn.bidirectional else 1)
        if hx is None:
            zeros = [self.x.new_zeros(layers, rows, rnn.proj_size or rnn.hidden_size)]
            if isinstance(rnn, nn.LSTM):
                zeros.append(self.x.new_zeros(layers, rows, rnn.hidden_size))
            return tuple(zeros)
        states = hx if isinstance(hx, tuple) else (hx,)
        axes = 3 if self._batched else 2
        if len(states) != 1 + isinstance(rnn, nn.LSTM) or any(s.ndim != axes for s in states):
            need = "a pair of states" if isinstance(rnn, nn.LSTM) else "one state"
            shapes = ", ".join(str(tuple(s.shape)) for s in states)
            raise ShapeError(f"{type(rnn).__name__} needs {need} of {axes} axes for this input, got {shapes}")
        return tuple(s if self._batched else s.unsqueeze(1) for s in states)

    def output(self, y: Tensor) -> Tensor | PackedSequence:
        """Return ``y``, shape ``(L, N, features)``, in the shape of the input."""
        if isinstance(self._given, PackedSequence):
            order = self._given.sorted_indices
            lengths = self._lengths
            if order is not None:
                y, lengths = y.index_select(1, order), lengths[order.cpu()]  # type: ignore[index]
            data = pack_padded_sequence(y, lengths).data  # type: ignore[arg-type]
            return PackedSequence(data, self._given.batch_sizes, order, self._given.unsorted_indices)
        if not self._batched:
            return y.squeeze(1)
        return y.transpose(0, 1) if self._rnn.batch_first else y

    def final(self, states: list[Tensor]) -> States:
        """Return the last states, shape ``(layers, N, units)`` each, as the network returns them."""
        shaped = states if self._batched else [s.squeeze(1) for s in states]
        return (shaped[0], shaped[1]) if isinstance(self._rnn, nn.LSTM) else shaped[0]
