"""DropConnect around a layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dropkit.core import ModuleError, ShapeError, Variant, register
from dropkit.nn.weights.wrapper import WeightWrapper
from dropkit.ops import drop_connect
from dropkit.ops.rate import Rate

_CONVOLUTIONS = {nn.Conv1d: functional.conv1d, nn.Conv2d: functional.conv2d, nn.Conv3d: functional.conv3d}


class DropConnect(WeightWrapper):
    """A linear or convolution layer that drops its weights by :func:`dropkit.ops.drop_connect` in training.

    The bias is never dropped.

    Args:
        layer: The layer, which stays as it is; a trained one may be given.
        rate: Probability of dropping, in ``[0, 1]``.
        per_sample: Whether each sample of the batch gets its own mask, as in the paper; then the layer has to be
            ``nn.Linear`` or ``nn.Conv1d/2d/3d``, and a call takes the memory of one copy of the weight a sample.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: The layer is of a type that cannot be wrapped.
    """

    def __init__(
        self, layer: nn.Module, rate: Rate, per_sample: bool = False, *, site: str | None = None
    ) -> None:
        super().__init__(layer, rate, site=site)
        if per_sample and not isinstance(layer, (nn.Linear, *_CONVOLUTIONS)):
            raise ModuleError(
                f"DropConnect with per_sample=True needs Linear or Conv1d/2d/3d, got {type(layer).__name__}; "
                "use per_sample=False"
            )
        self.per_sample = per_sample

    def drawn(self) -> Tensor:
        """Return the weight with one mask for the whole batch."""
        return drop_connect(self.weight, self.rate, training=True, site=self.site)

    def forward(self, *inputs: Tensor) -> Any:
        """Call the layer on ``inputs``; with ``per_sample`` on one input of shape ``(N, *)``."""
        if not self.training or not self.per_sample:
            return super().forward(*inputs)
        (x,) = inputs
        if isinstance(self.layer, nn.Linear):
            return self._linear(x, self.layer)
        return self._convolution(x, self.layer)

    def _drawn_for(self, x: Tensor) -> Tensor:
        return drop_connect(self.weight, self.rate, training=True, copies=x.shape[0], site=self.site)

    def _linear(self, x: Tensor, layer: nn.Linear) -> Tensor:
        if x.ndim < 2:
            raise ShapeError(f"per-sample DropConnect needs shape (N, *, in), got {tuple(x.shape)}")
        weights = self._drawn_for(x)
        rows = (
            x.reshape(x.shape[0], -1, x.shape[-1]) if x.numel() else x.new_empty(x.shape[0], 0, x.shape[-1])
        )
        y = (rows @ weights.transpose(1, 2)).view(*x.shape[:-1], layer.out_features)
        return y if layer.bias is None else y + layer.bias

    def _convolution(self, x: Tensor, layer: Any) -> Tensor:
        if x.ndim != layer.weight.ndim:
            raise ShapeError(
                f"per-sample DropConnect needs shape (N, C, *) with {layer.weight.ndim} axes, got {tuple(x.shape)}"
            )
        weights = self._drawn_for(x)
        padding = layer.padding
        if layer.padding_mode != "zeros":
            x, padding = functional.pad(x, layer._reversed_padding_repeated_twice, layer.padding_mode), 0
        convolve = next(f for kind, f in _CONVOLUTIONS.items() if isinstance(layer, kind))
        n = x.shape[0]
        if n == 0:
            return convolve(x, layer.weight, layer.bias, layer.stride, padding, layer.dilation, layer.groups)
        # every sample is a group of channels of its own
        joined = convolve(
            x.reshape(1, -1, *x.shape[2:]),
            weights.flatten(0, 1),
            None,
            layer.stride,
            padding,
            layer.dilation,
            layer.groups * n,
        )
        y = joined.view(n, layer.out_channels, *joined.shape[2:])
        return y if layer.bias is None else y + layer.bias.view(-1, *[1] * (x.ndim - 2))

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + (", per_sample=True" if self.per_sample else "")


register(
    Variant(
        name="drop_connect",
        family="weights",
        kind="wrapper",
        op=drop_connect,
        module=DropConnect,
        paper='Wan et al., "Regularization of Neural Networks using DropConnect", ICML 2013, PMLR 28(3):1058',
        year=2013,
        law="each weight is 0 with probability rate, else w / (1 - rate); variance (w^2 @ x^2) rate / (1 - rate)",
        at=("weights",),
        default_rate=0.5,
        samples=True,
        example=lambda: (DropConnect(nn.Linear(6, 6), 0.5), torch.linspace(-1.0, 2.0, 48).view(8, 6)),
    )
)
