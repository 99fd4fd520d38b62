"""Noise of independent weights, drawn as noise of the outputs: the local reparameterisation."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from dropkit.core import ModuleError
from dropkit.ops.draws import draw_normal

Linear = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # the same, for what asks while it is compiled


def check_linear(name: str, layer: nn.Module) -> None:
    """Raise ``ModuleError`` unless ``layer`` is linear or a convolution."""
    if not isinstance(layer, LINEAR):
        raise ModuleError(f"{name} needs an nn.Linear or nn.Conv1d/2d/3d, got {type(layer).__name__}")


def linear_map(layer: Linear, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return what ``layer`` makes of ``x`` with another weight and bias."""
    if isinstance(layer, nn.Linear):
        return functional.linear(x, weight, bias)
    output: Tensor = layer._conv_forward(x, weight, bias)  # with its stride, padding, padding mode, groups
    return output


def noisy_map(layer: Linear, x: Tensor, weight: Tensor, variance: Tensor, site: str | None) -> Tensor:
    """Return the output of ``layer`` with independent weights ``N(weight, variance)``, fresh for each output.

    Given ``x`` an output is normal with mean ``layer(x)`` and the variance that the layer without its bias makes of
    ``x**2`` with ``variance`` as its weight; noise is drawn for outputs, so that samples do not share any.
    """
    mean = linear_map(layer, x, weight, layer.bias)
    spread = linear_map(layer, x.square(), variance, None)
    deviation = (
        spread.where(spread > 0, 1.0).sqrt().where(spread > 0, 0.0)
    )  # the slope of a root at 0 is infinite
    z = draw_normal(mean.shape, mean.device, generator=None, site=site)
    return mean + deviation * z.to(mean.dtype)
