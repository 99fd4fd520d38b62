"""What the wrappers of this package share: a layer called with another weight in the place of its own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from dropkit.core import ModuleError
from dropkit.nn.module import RateModule
from dropkit.ops.rate import Rate

LAYERS = (
    nn.Linear,
    nn.Bilinear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class WeightWrapper(RateModule):
    """A layer whose weight is replaced by a random one in training, and only while it is called.

    The layer itself, its parameters and its ``state_dict`` stay bit for bit as they are; take ``wrapper.layer`` out
    to be rid of the wrapper.

    Args:
        layer: A linear, bilinear, convolution or transposed convolution layer.
        rate: Probability of dropping, in ``[0, 1]``.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: ``layer`` is of another type, or its weight is no parameter of its own.
    """

    def __init__(self, layer: nn.Module, rate: Rate, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        if not isinstance(layer, LAYERS):
            names = ", ".join(kind.__name__ for kind in LAYERS)
            raise ModuleError(
                f"{type(self).__name__} needs a layer with a weight ({names}), got {type(layer).__name__}"
            )
        if layer._parameters.get("weight") is None:
            raise ModuleError(
                f"{type(self).__name__} needs a layer whose weight is its own parameter, got one where it is "
                "computed; remove the parametrisation first"
            )
        self.layer = layer

    @property
    def weight(self) -> Tensor:
        """The layer's own weight, which nothing has been dropped from."""
        return self.layer.weight  # a parameter, or what stands in for it in a transform

    def forward(self, *inputs: Tensor) -> Any:
        """Call the layer on ``inputs``, in training with the weight that :meth:`drawn` returns."""
        if not self.training:
            return self.layer(*inputs)
        return functional_call(self.layer, {"weight": self.drawn()}, inputs)

    @abstractmethod
    def drawn(self) -> Tensor:
        """Return the weight for one call in training."""
