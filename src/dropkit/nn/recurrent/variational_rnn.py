"""Variational dropout in recurrent networks: inputs and recurrent connections, one mask a sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.recurrent.noise import Mask, Noise, Place
from dropkit.nn.recurrent.second_rate import SecondRate, resolved, shown_beside
from dropkit.nn.recurrent.wrapper import RecurrentWrapper
from dropkit.ops.rate import Rate


class VariationalRNN(RecurrentWrapper):
    """A recurrent network that reads its inputs and its last hidden state through masks, the same at every step.

    In each layer and direction ``x_t`` is replaced by ``m_x * x_t / (1 - input_rate)`` and, where the gates read it,
    ``h_{t-1}`` by ``m_h * h_{t-1} / (1 - rate)``; the coins ``m`` are drawn once a sequence, 0 with probability
    ``input_rate`` and ``rate``. So the mean of what the gates are given is right at every step.

    Args:
        rnn: An ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``; it stays as it is.
        rate: Probability of dropping a hidden unit on its way to the gates, in ``[0, 1]``.
        input_rate: Probability of dropping an input feature of a layer, in ``[0, 1]``. None: as ``rate``.
        site: Name under which an active stream counts the masks.

    Raises:
        RateError: A rate is outside ``[0, 1]`` or NaN.
        ModuleError: ``rnn`` is no recurrent network of PyTorch.

    Reference:
        Gal & Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", NeurIPS
        2016, eq. 4-7, arXiv:1512.05287. *Departures*: all gates share one mask (their tied weights); eval mode scales
        weights (theirs averages samples, too: keep it in training mode).
    """

    input_rate = SecondRate()

    def __init__(
        self, rnn: nn.RNNBase, rate: Rate, *, input_rate: Rate | None = None, site: str | None = None
    ) -> None:
        super().__init__(rnn, rate, site=site)
        self.input_rate = input_rate

    def noise(self, place: Place) -> Noise:
        """Draw the two masks of one direction of one layer."""
        rate, input_rate = resolved(self, self.input_rate)
        return _Locked(
            Mask(place, place.inputs, input_rate, False, self.site, "input"),
            Mask(place, place.units, rate, False, self.site, "hidden"),
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + shown_beside("input_rate", self.input_rate)


class _Locked(Noise):
    def __init__(self, inputs: Mask, hidden: Mask) -> None:
        self._inputs, self._hidden = inputs, hidden

    def reads_input(self, x: Tensor) -> Tensor:
        return self._inputs.drop_all_steps(x)

    def reads(self, h: Tensor, step: int) -> Tensor:
        return self._hidden.drop(h, step)


register(
    Variant(
        name="variational_rnn",
        family="recurrent",
        kind="wrapper",
        op=None,
        module=VariationalRNN,
        paper='Gal & Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", '
        "NeurIPS 2016, arXiv:1512.05287",
        year=2016,
        law="each hidden unit, as the gates read it, is 0 at all steps of a sequence with probability rate, else "
        "h / (1 - rate); the inputs of each layer likewise",
        at=("recurrent",),
        default_rate=0.25,
        samples=True,
        example=lambda: (
            VariationalRNN(nn.LSTM(3, 4, batch_first=True), 0.5),
            torch.linspace(-1, 1, 60).view(4, 5, 3),
        ),
    )
)
