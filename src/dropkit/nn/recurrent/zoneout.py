"""Zoneout: units that keep the value they had a step before."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dropkit.core import Variant, register
from dropkit.nn.recurrent.noise import Mask, Noise, Place
from dropkit.nn.recurrent.second_rate import SecondRate, resolved, shown_beside
from dropkit.nn.recurrent.sequences import States
from dropkit.nn.recurrent.wrapper import RecurrentWrapper
from dropkit.ops.rate import Rate


class Zoneout(RecurrentWrapper):
    """A recurrent network in which, at each step, units of the state randomly stay as they were.

    With ``h'`` what the network would make of its state, ``h_t = h_{t-1}`` with probability ``rate``, else ``h'_t``:
    ``E[h_t] = rate * h_{t-1} + (1 - rate) * h'_t`` and ``Var[h_t] = rate * (1 - rate) * (h'_t - h_{t-1})**2``. The
    memory cells of an LSTM do the same under ``cell_rate``; its ``h'_t`` is made from the cells before that. At rate
    1 the state never changes. In eval mode each step takes that mean, so outputs depend on the rates there, too.

    Args:
        rnn: An ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``; it stays as it is.
        rate: Probability that a hidden unit keeps its value, in ``[0, 1]``.
        cell_rate: The same for the memory cells of an LSTM. None: as ``rate``.
        site: Name under which an active stream counts the masks.

    Raises:
        RateError: A rate is outside ``[0, 1]`` or NaN.
        ModuleError: ``rnn`` is no recurrent network of PyTorch.

    Reference:
        Krueger et al., "Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations", ICLR 2017, sec. 3.2,
        arXiv:1606.01305. *Departures*: none.
    """

    cell_rate = SecondRate()

    def __init__(
        self, rnn: nn.RNNBase, rate: Rate, *, cell_rate: Rate | None = None, site: str | None = None
    ) -> None:
        super().__init__(rnn, rate, site=site)
        self.cell_rate = cell_rate

    def forward(
        self, input: Tensor | PackedSequence, hx: States | None = None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Return what the network returns: outputs of its last layer, and final states of all."""
        if not self.training and all(isinstance(rate, float) and rate == 0.0 for rate in self._rates()):
            result: tuple[Tensor | PackedSequence, States] = self.rnn(input, hx)
            return result
        return self.unrolled(input, hx)

    def noise(self, place: Place) -> Noise:
        """Draw the masks of one direction of one layer, or take means in eval mode."""
        rate, cell_rate = self._rates()
        if not self.training:
            return _Mean(rate, cell_rate, place)
        hidden = Mask(place, place.units, rate, True, self.site, "hidden")
        cells = Mask(place, place.cells, cell_rate, True, self.site, "cell") if self._has_cells else None
        return _Zones(hidden, cells)

    @property
    def _has_cells(self) -> bool:
        return isinstance(self.rnn, nn.LSTM)

    def _rates(self) -> tuple[float | Tensor, float | Tensor]:
        return resolved(self, self.cell_rate)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + shown_beside("cell_rate", self.cell_rate)


class _Zones(Noise):
    def __init__(self, hidden: Mask, cells: Mask | None) -> None:
        self._hidden, self._cells = hidden, cells

    def becomes(self, new: Tensor, old: Tensor, step: int) -> Tensor:
        return torch.where(self._hidden.keep(step), new, old)

    def remembers(self, new: Tensor, old: Tensor, step: int) -> Tensor:
        return new if self._cells is None else torch.where(self._cells.keep(step), new, old)


class _Mean(Noise):
    def __init__(self, rate: float | Tensor, cell_rate: float | Tensor, place: Place) -> None:
        self._hidden = _by_step(rate, place, place.units)
        self._cells = _by_step(cell_rate, place, place.cells)

    def becomes(self, new: Tensor, old: Tensor, step: int) -> Tensor:
        return _between(new, old, self._hidden[step])

    def remembers(self, new: Tensor, old: Tensor, step: int) -> Tensor:
        return _between(new, old, self._cells[step])


def _by_step(rate: float | Tensor, place: Place, size: int) -> list[float | Tensor]:
    if not isinstance(rate, Tensor):
        return [rate] * place.steps
    return list(rate.to(place.like).expand(place.rows, place.steps, size).unbind(1))


def _between(new: Tensor, old: Tensor, rate: float | Tensor) -> Tensor:
    return rate * old + (1.0 - rate) * new


register(
    Variant(
        name="zoneout",
        family="recurrent",
        kind="wrapper",
        op=None,
        module=Zoneout,
        paper='Krueger et al., "Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations", ICLR 2017, '
        "arXiv:1606.01305",
        year=2017,
        law="each unit of the state keeps its value of the step before with probability rate, else is updated; "
        "variance rate (1 - rate) (new - old)^2; eval mode takes the mean",
        at=("recurrent",),
        default_rate=0.15,
        samples=True,
        acts_in_eval=True,
        example=lambda: (
            Zoneout(nn.LSTM(3, 4, batch_first=True), 0.5),
            torch.linspace(-1, 1, 60).view(4, 5, 3),
        ),
    )
)
