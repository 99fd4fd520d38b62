"""Sigmoid linear units, then dropout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dropkit.ops.fused.activation import SILU, activation_dropout
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def silu_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Return ``dropout(silu(x), rate)``, with the sigmoid linear unit, also called swish.

    ``E[y] = silu(x)``, ``Var[y] = silu(x)**2 * rate / (1 - rate)``. The mask is that of ``dropkit.ops.dropout`` under
    the same stream and site. On the CPU the activation is accurate to the last bit of fp32, in the tails too,
    where torch's own is not; in eval it is torch's own. For backward ``x`` and the key are kept.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Probability (dimensionless, per element) of *dropping*, in ``[0, 1]``.
        training: If false, ``silu(x)`` is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.

    Reference:
        Hendrycks and Gimpel, arXiv:1606.08415, sec. 2; Ramachandran et al., "Searching for Activation
        Functions", arXiv:1710.05941. *Departures*: none.
    """
    used = check_input("silu_dropout", x, rate, training=training)
    if not training:
        return F.silu(x)
    return activation_dropout(x, SILU, used, generator, site)
