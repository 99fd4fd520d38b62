"""Recurrent dropout without memory loss: drop what is about to enter the state, not the state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import OptionError, Variant, register
from dropkit.nn.recurrent.noise import Mask, Noise, Place
from dropkit.nn.recurrent.wrapper import RecurrentWrapper
from dropkit.ops.rate import Rate, resolve_rate


class RecurrentDropout(RecurrentWrapper):
    """A recurrent network of which only the updates of the state are dropped, so that it forgets nothing.

    The candidate ``g_t`` of an LSTM, ``c_t = f_t c_{t-1} + i_t d(g_t)``, or of a GRU, ``h_t = z_t h_{t-1} + (1 - z_t)
    d(g_t)``, becomes ``d(g) = g / (1 - rate)`` with probability ``1 - rate``, else 0: ``E[d(g)] = g`` and ``Var[d(g)] =
    g**2 * rate / (1 - rate)``. Of an ``nn.RNN``, whose state is its update, the whole state is dropped.

    Args:
        rnn: An ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``; it stays as it is.
        rate: Probability of dropping an update, in ``[0, 1]``.
        each_step: Whether every step has coins of its own; if not, one mask serves a whole sequence.
        site: Name under which an active stream counts the masks.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ModuleError: ``rnn`` is no recurrent network of PyTorch.
        OptionError: ``each_step`` is no bool.

    Reference:
        Semeniuta et al., "Recurrent Dropout without Memory Loss", COLING 2016, sec. 3.2, arXiv:1603.05118.
        *Departures*: scaled while training; ``nn.RNN`` is not in the paper.
    """

    def __init__(
        self, rnn: nn.RNNBase, rate: Rate, each_step: bool = True, *, site: str | None = None
    ) -> None:
        super().__init__(rnn, rate, site=site)
        if not isinstance(each_step, bool):
            raise OptionError(f"each_step must be True or False, got {each_step!r}")
        self.each_step = each_step

    def noise(self, place: Place) -> Noise:
        """Draw the mask of one direction of one layer."""
        size = place.cells if isinstance(self.rnn, nn.LSTM) else place.units
        return _Updates(Mask(place, size, resolve_rate(self.rate), self.each_step, self.site, "update"))

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + ("" if self.each_step else ", each_step=False")


class _Updates(Noise):
    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def updates(self, candidate: Tensor, step: int) -> Tensor:
        return self._mask.drop(candidate, step)


register(
    Variant(
        name="recurrent_dropout",
        family="recurrent",
        kind="wrapper",
        op=None,
        module=RecurrentDropout,
        paper='Semeniuta et al., "Recurrent Dropout without Memory Loss", COLING 2016, arXiv:1603.05118',
        year=2016,
        law="each candidate g of a step is 0 with probability rate, else g / (1 - rate), before it enters the state; "
        "variance g^2 rate / (1 - rate)",
        at=("recurrent",),
        default_rate=0.25,
        samples=True,
        example=lambda: (
            RecurrentDropout(nn.LSTM(3, 4, batch_first=True), 0.5),
            torch.linspace(-1, 1, 60).view(4, 5, 3),
        ),
    )
)
