"""Gaussian error linear units, then dropout."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dropkit.core import InputError
from dropkit.ops.fused.activation import GELU, GELU_TANH, activation_dropout
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input

Approximate = Literal["none", "tanh"]


class ApproximateError(InputError, ValueError):
    """The approximation is neither "none" nor "tanh"."""


_KINDS = {"none": GELU, "tanh": GELU_TANH}


def gelu_dropout(
    x: Tensor,
    rate: Rate,
    *,
    approximate: Approximate = "none",
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Return ``dropout(gelu(x), rate)``, with the Gaussian error linear unit.

    ``E[y] = gelu(x)``, ``Var[y] = gelu(x)**2 * rate / (1 - rate)``. The mask is that of ``dropkit.ops.dropout`` under
    the same stream and site. On the CPU the activation is accurate to the last bit of fp32, in the tails too,
    where torch's own is not; in eval it is torch's own. For backward ``x`` and the key are kept.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Probability (dimensionless, per element) of *dropping*, in ``[0, 1]``.
        approximate: ``"none"``: by the error function; ``"tanh"``: by the hyperbolic tangent.
        training: If false, ``gelu(x)`` is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.
        ApproximateError: ``approximate`` is neither word.

    Reference:
        Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv:1606.08415. *Departures*: none.
    """
    if approximate not in _KINDS:
        raise ApproximateError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    used = check_input("gelu_dropout", x, rate, training=training)
    if not training:
        return F.gelu(x, approximate=approximate)
    return activation_dropout(x, _KINDS[approximate], used, generator, site)
