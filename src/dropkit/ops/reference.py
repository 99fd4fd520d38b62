"""The pieces of every op in plain torch operations: drawing a mask, selecting and scaling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.core import DtypeError, ShapeError, check_rate
from dropkit.random import keep_mask, next_key, skip_key


def check_input(name: str, x: Tensor, rate: float, ndim: int | None = None, layout: str = "") -> None:
    """Check what every op is given: a legal rate, a floating dtype and, where it matters, the rank."""
    check_rate(rate)
    if not x.is_floating_point():
        raise DtypeError(
            f"{name} needs a floating-point tensor, got {x.dtype}; drop after the embedding or cast"
        )
    if ndim is not None and x.ndim != ndim:
        raise ShapeError(f"{name} needs shape {layout}, got {tuple(x.shape)}")


def draw_keep(
    x: Tensor, shape: Sequence[int], rate: float, generator: torch.Generator | None, site: str | None
) -> Tensor:
    """Return a mask of ``shape`` that broadcasts over ``x``, True = kept, for any rate in ``[0, 1]``."""
    if rate in (0.0, 1.0) or x.numel() == 0:
        skip_key(site, generator)
        return torch.full(tuple(shape), rate == 0.0, device=x.device)
    return keep_mask(shape, rate, next_key(site, generator, x.device), x.device)


def keep_scale(rate: float) -> float:
    """Return ``1 / (1 - rate)``, or 1 at rate 1, where nothing survives and infinity would spoil the gradient."""
    return 1.0 / (1.0 - rate) if rate < 1.0 else 1.0


def select(x: Tensor, keep: Tensor, scale: float) -> Tensor:
    """Return ``x * scale`` where ``keep``, else exact zeros, even where ``x`` is not finite.

    The product is rounded once to fp32 (fp64 for fp64), then to the dtype of ``x``.
    """
    return torch.where(keep, x if scale == 1.0 else x * scale, 0.0)
