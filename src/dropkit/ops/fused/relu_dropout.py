"""Rectified linear units, then dropout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dropkit.ops.fused.coins import flip
from dropkit.ops.kernels import fused
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, scale_by


def relu_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Return ``dropout(relu(x), rate)``.

    ``E[y] = relu(x)``, ``Var[y] = relu(x)**2 * rate / (1 - rate)``. The mask is that of ``dropkit.ops.dropout``
    under the same stream and site. For backward the native kernel keeps the output alone: where it is 0 the
    element was dropped or not positive, and its gradient is 0.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Probability (dimensionless, per element) of *dropping*, in ``[0, 1]``.
        training: If false, ``relu(x)`` is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.

    Reference:
        Srivastava et al., JMLR 15 (2014), sec. 4; Glorot et al., "Deep Sparse Rectifier Neural Networks", AISTATS
        2011. *Departures*: none.
    """
    used = check_input("relu_dropout", x, rate, training=training)
    if not training:
        return F.relu(x)
    coins = flip(x, used, generator, site)
    if coins.draw is not None and fused.can_take(x):
        return fused.relu(x, *coins.draw)
    kept = coins.zero(x)
    return scale_by(torch.where(kept <= 0.0, 0.0, kept), coins.scale)
