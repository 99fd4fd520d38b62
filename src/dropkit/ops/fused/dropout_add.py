"""Dropout and residual connection in one."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.ops.fused.coins import flip
from dropkit.ops.fused.residual import check_residual, common_dtypes
from dropkit.ops.kernels import fused
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, scale_by


def dropout_add(
    x: Tensor,
    residual: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Return ``dropout(x, rate) + residual``.

    ``E[y] = x + residual``, ``Var[y] = x**2 * rate / (1 - rate)``. The mask is that of
    ``dropkit.ops.dropout`` under the same stream and site. Arithmetic is in fp32 (fp64 where an input is fp64),
    rounded once to the output's dtype. For backward only the key is kept.

    Args:
        x: Any shape, floating point. Never modified.
        residual: Same shape as ``x``, floating point; another dtype is promoted as torch's addition does.
        rate: Probability (dimensionless, per element) of *dropping*, in ``[0, 1]``.
        training: If false, ``x + residual`` is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape and device as ``x``; ``residual`` itself in value where dropped.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``residual`` has another shape than ``x``.
        DtypeError: ``x`` or ``residual`` is not floating point.

    Reference:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sec. 5.4 (residual dropout), arXiv:1706.03762.
        *Departures*: none.
    """
    used = check_input("dropout_add", x, rate, training=training)
    check_residual("dropout_add", x, residual)
    if not training:
        return x + residual
    coins = flip(x, used, generator, site)
    if coins.draw is not None and fused.can_take(x, residual):
        return fused.add(x, residual, *coins.draw)
    wide, narrow = common_dtypes(x, residual)
    return (scale_by(coins.zero(x).to(wide), coins.scale) + residual.to(wide)).to(narrow)
