"""Smooth activations, accurate to the last bit of fp32, and their slopes: what the native kernels compute too.

On the CPU they are computed in fp64. torch's own kernels differ from themselves there by where an element stands in
the tensor, tens of units in the last place for negative inputs, and with the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dropkit.ops.fused.coins import flip
from dropkit.ops.kernels import fused
from dropkit.ops.reference import scale_by

_LINEAR = 2.0 * math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715 * _LINEAR


class Activation(NamedTuple):
    """An activation that maps 0 to 0."""

    own: Callable[[Tensor], Tensor]  # torch's
    exact: Callable[[Tensor], Tensor]  # on fp64, accurate in the tails as well
    slope: Callable[[Tensor], Tensor]  # on fp64
    form: fused.Fused


def _gelu(x: Tensor) -> Tensor:
    return x * (0.5 * torch.erfc(x * -math.sqrt(0.5)))


def _gelu_slope(x: Tensor) -> Tensor:
    density = torch.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return 0.5 * torch.erfc(x * -math.sqrt(0.5)) + x * density


def _gelu_tanh(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x * (_LINEAR + _CUBIC * x * x))


def _gelu_tanh_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(x * (_LINEAR + _CUBIC * x * x))
    return s + x * (s * (1.0 - s)) * (_LINEAR + 3.0 * _CUBIC * x * x)


def _silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def _silu_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s + x * (s * (1.0 - s))


GELU = Activation(F.gelu, _gelu, _gelu_slope, fused.Fused.GELU)
GELU_TANH = Activation(
    lambda x: F.gelu(x, approximate="tanh"), _gelu_tanh, _gelu_tanh_slope, fused.Fused.GELU_TANH
)
SILU = Activation(F.silu, _silu, _silu_slope, fused.Fused.SILU)


def activation_dropout(
    x: Tensor,
    activation: Activation,
    rate: float | Tensor,
    generator: torch.Generator | None,
    site: str | None,
) -> Tensor:
    """Return ``dropout(activation(x), rate)``.

    Args:
        x: Input.
        activation: What to do before dropping.
        rate: As ``check_input`` returned it.
        generator: Source of the mask's key, or None.
        site: Name under which an active stream counts this call.
    """
    coins = flip(x, rate, generator, site)
    if isinstance(rate, float) and rate == 0.0:
        return activation.own(x)
    if coins.draw is not None and x.dtype != torch.float64 and fused.can_take(x):
        return fused.activated(x, activation.form, activation.slope, *coins.draw)
    kept = coins.zero(x)
    if x.device.type != "cpu":
        return scale_by(activation.own(kept), coins.scale)
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    return scale_by(activation.exact(kept.double()).to(wide), coins.scale).to(x.dtype)
