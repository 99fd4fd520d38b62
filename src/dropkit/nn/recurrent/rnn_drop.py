"""RNNDrop: memory cells that are gone for a whole sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.recurrent.noise import Mask, Noise, Place
from dropkit.nn.recurrent.wrapper import RecurrentWrapper
from dropkit.ops.rate import resolve_rate


class RNNDrop(RecurrentWrapper):
    """A recurrent network some of whose memory cells are zero at every step of a sequence.

    Each cell has one coin a sequence, 0 with probability ``rate``: ``c_t = m * (f_t c_{t-1} + i_t g_t)``. What a kept
    cell shows is scaled, once: ``h_t = o_t tanh(c_t) / (1 - rate)``, so the mean over the coins of ``h_t`` is that
    of the cell; scaling ``c_t`` itself would grow with every step. The state of a GRU or ``nn.RNN`` is masked
    in place of the cells, and scaled where gates and output read it.

    Args:
        rnn: An ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``; it stays as it is.
        rate: Probability of dropping a cell for a sequence, in ``[0, 1]``.
        site: Name under which an active stream counts the masks.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ModuleError: ``rnn`` is no recurrent network of PyTorch.

    Reference:
        Moon et al., "RNNDROP: A Novel Dropout for RNNs in ASR", IEEE ASRU 2015, doi:10.1109/ASRU.2015.7404775.
        *Departures*: scaled while training; GRU and ``nn.RNN`` are not in the paper.
    """

    def noise(self, place: Place) -> Noise:
        """Draw the mask of one direction of one layer."""
        size = place.cells if isinstance(self.rnn, nn.LSTM) else place.units
        mask = Mask(place, size, resolve_rate(self.rate), False, self.site, "cell")
        return _Cells(mask) if isinstance(self.rnn, nn.LSTM) else _Units(mask)


class _Cells(Noise):
    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def shows(self, h: Tensor, step: int) -> Tensor:
        return self._mask.drop(h, step)

    def remembers(self, new: Tensor, old: Tensor, step: int) -> Tensor:
        return self._mask.zero(new, step)


class _Units(_Cells):
    def becomes(self, new: Tensor, old: Tensor, step: int) -> Tensor:
        return self._mask.zero(new, step)


register(
    Variant(
        name="rnn_drop",
        family="recurrent",
        kind="wrapper",
        op=None,
        module=RNNDrop,
        paper='Moon et al., "RNNDROP: A Novel Dropout for RNNs in ASR", IEEE ASRU 2015, doi:10.1109/ASRU.2015.7404775',
        year=2015,
        law="each memory cell is 0 at all steps of a sequence with probability rate; what the others show is "
        "h / (1 - rate)",
        at=("recurrent",),
        default_rate=0.2,
        samples=True,
        example=lambda: (
            RNNDrop(nn.LSTM(3, 4, batch_first=True), 0.5),
            torch.linspace(-1, 1, 60).view(4, 5, 3),
        ),
    )
)
