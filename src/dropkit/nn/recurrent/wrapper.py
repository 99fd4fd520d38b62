"""What the wrappers around recurrent networks have in common."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from dropkit.core import ModuleError
from dropkit.nn.module import RateModule
from dropkit.nn.recurrent.noise import Noise, Place
from dropkit.nn.recurrent.sequences import States
from dropkit.nn.recurrent.unroll import unroll
from dropkit.ops.rate import Rate


class RecurrentWrapper(RateModule):
    """An unmodified ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``, with noise inside while it is trained.

    All options of the network, packed and unbatched sequences and initial states work as without the wrapper. In
    eval mode the network itself is called; in training its steps are taken one by one, with its own parameters.

    Args:
        rnn: The network; it stays as it is, and is found under the attribute ``rnn``.
        rate: Probability of dropping, in ``[0, 1]``.
        site: Name under which an active stream counts the masks; each layer and direction adds its own.

    Raises:
        ModuleError: ``rnn`` is something else.
    """

    def __init__(self, rnn: nn.RNNBase, rate: Rate, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        if not isinstance(rnn, (nn.LSTM, nn.GRU, nn.RNN)):
            raise ModuleError(
                f"{type(self).__name__} needs an nn.LSTM, nn.GRU or nn.RNN, got {_kind(rnn)}; "
                "wrap the recurrent network itself"
            )
        self.rnn = rnn

    @abstractmethod
    def noise(self, place: Place) -> Noise:
        """Draw the noise of one direction of one layer."""

    def forward(
        self, input: Tensor | PackedSequence, hx: States | None = None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Return what the network returns: outputs of its last layer, and final states of all."""
        if not self.training:
            result: tuple[Tensor | PackedSequence, States] = self.rnn(input, hx)
            return result
        return self.unrolled(input, hx)

    def unrolled(
        self, input: Tensor | PackedSequence, hx: States | None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Take the steps of the network one by one."""
        return unroll(self.rnn, input, hx, self.noise, training=self.training, site=self.site)


def _kind(value: object) -> str:
    return (
        f"nn.{type(value).__name__}"
        if type(value).__module__.startswith("torch.nn")
        else type(value).__name__
    )
