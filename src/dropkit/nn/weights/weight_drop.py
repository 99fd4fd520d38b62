"""Weight drop: DropConnect on the recurrent matrices of an unmodified recurrent layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dropkit.core import ModuleError, Variant, register
from dropkit.nn.module import RateModule
from dropkit.nn.weights.twin import twin
from dropkit.ops import drop_connect
from dropkit.ops.rate import Rate


class WeightDrop(RateModule):
    """An ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` with dropped hidden-to-hidden weights in training.

    Each recurrent matrix ``weight_hh_*`` gets one mask a forward, the same at all time steps and for all sequences:
    each weight is zero with probability ``rate``, else divided by ``1 - rate``. The layer, its parameters, their
    cuDNN layout and its ``state_dict`` stay as they are; take ``wrapper.layer`` out to be rid of the wrapper. It
    runs outside compiled graphs (``torch.compile`` breaks its graph at recurrent layers) and not under ``vmap``.

    Args:
        layer: The recurrent layer.
        rate: Probability of dropping, in ``[0, 1]``.
        site: Name under which an active stream counts its calls; the matrices are ``"<site>:weight_hh_l0"`` and so on.

    Raises:
        ModuleError: ``layer`` is no ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``.

    Reference:
        Merity et al., "Regularizing and Optimizing LSTM Language Models", ICLR 2018, arXiv:1708.02182, sec. 2.
    """

    def __init__(self, layer: nn.Module, rate: Rate, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        if not isinstance(layer, nn.RNNBase):
            raise ModuleError(
                f"WeightDrop needs a recurrent layer (LSTM, GRU or RNN), got {type(layer).__name__}; "
                "for other layers use DropConnect"
            )
        self.layer = layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer with all arguments, in training with weights dropped for this call."""
        if not self.training:
            return self.layer(*args, **kwargs)
        return twin(self.layer, self.drawn(), hooked=True)(*args, **kwargs)

    def drawn(self) -> dict[str, Tensor]:
        """Return the recurrent matrices for one call in training, by their names."""
        return {
            name: drop_connect(
                getattr(self.layer, name),
                self.rate,
                training=True,
                site=None if self.site is None else f"{self.site}:{name}",
            )
            for name in self.layer._flat_weights_names
            if name.startswith("weight_hh_")
        }


register(
    Variant(
        name="weight_drop",
        family="weights",
        kind="wrapper",
        op=None,
        module=WeightDrop,
        paper='Merity et al., "Regularizing and Optimizing LSTM Language Models", ICLR 2018, arXiv:1708.02182',
        year=2018,
        law="each hidden-to-hidden weight is 0 with probability rate, else w / (1 - rate), once a forward",
        at=("recurrent", "weights"),
        default_rate=0.5,
        samples=True,
        example=lambda: (
            WeightDrop(nn.LSTM(3, 4, batch_first=True), 0.5),
            torch.linspace(-1.0, 2.0, 60).view(4, 5, 3),
        ),
    )
)
