"""The pieces of every op in plain torch operations: on any device, under any transform, without native code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.core import DtypeError, ShapeError
from dropkit.ops.law import Form, Law
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.random import Key, Schedule, normal, skip_key


def check_input(
    name: str, x: Tensor, rate: Rate, ndim: int | None = None, layout: str = "", *, training: bool = True
) -> float | Tensor:
    """Check what every op is given: a legal rate, a floating dtype and, where it matters, the rank.

    Args:
        name: Of the op, for the texts of errors.
        x: Its input.
        rate: Its rate, as the caller gave it.
        ndim: Rank that ``x`` must have, or None.
        layout: That rank in words.
        training: Whether the rate will be used; if not, a schedule is not asked for the rate of this step.

    Returns:
        The rate that the call uses; see :func:`dropkit.ops.rate.resolve_rate`.
    """
    used = resolve_rate(rate) if training or not isinstance(rate, Schedule) else 0.0
    if not x.is_floating_point():
        raise DtypeError(
            f"{name} needs a floating-point tensor, got {x.dtype}; drop after the embedding or cast"
        )
    if ndim is not None and x.ndim != ndim:
        raise ShapeError(f"{name} needs shape {layout}, got {tuple(x.shape)}")
    return used


def needs_bits(x: Tensor, rate: float, generator: torch.Generator | None, site: str | None) -> bool:
    """Whether a mask has to be drawn; where it is known beforehand, count the call in the stream."""
    if 0.0 < rate < 1.0 and x.numel() > 0:
        return True
    skip_key(site, generator)
    return False


def keep_scale(rate: float) -> float:
    """Return ``1 / (1 - rate)``, or 1 at rate 1, where nothing survives and infinity would spoil the gradient."""
    return 1.0 / (1.0 - rate) if rate < 1.0 else 1.0


def select(x: Tensor, keep: Tensor, scale: float | Tensor) -> Tensor:
    """Return ``x * scale`` where ``keep``, else exact zeros, even where ``x`` is not finite.

    The product is rounded once to fp32 (fp64 for fp64), then to the dtype of ``x``.
    """
    return torch.where(keep, scale_by(x, scale), 0.0)


def scale_by(x: Tensor, scale: float | Tensor) -> Tensor:
    """Return ``x * scale``, multiplied in fp32 (fp64 for fp64) and rounded once to the dtype of ``x``."""
    if not isinstance(scale, Tensor):
        return x if scale == 1.0 else x * scale
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    return (x.to(wide) * scale.to(x.device, wide)).to(x.dtype)


def drop_all(x: Tensor) -> Tensor:
    """Return zeros that keep their place in the graph, with a gradient of zero."""
    return select(x, torch.zeros((), dtype=torch.bool, device=x.device), 1.0)


def apply(x: Tensor, law: Law, keep: Tensor) -> Tensor:
    """Return the output of ``law`` for the mask ``keep``, which broadcasts over ``x``."""
    if law.form == Form.SELECT:
        return select(x, keep, law.scale)
    return affine(x, keep, law.scale, law.shift, law.dropped)


def affine(
    x: Tensor, keep: Tensor, scale: float | Tensor, shift: float | Tensor, dropped: float | Tensor
) -> Tensor:
    """Return ``x * scale + shift`` where ``keep``, else ``dropped``; arithmetic in fp32, or in fp64 for fp64."""
    wide = x if x.dtype == torch.float64 else x.float()
    s, t, u = (c.to(wide.dtype) if isinstance(c, Tensor) else c for c in (scale, shift, dropped))
    return torch.where(keep, wide * s + t, u).to(x.dtype)


def multiply_noise(
    x: Tensor, deviation: float | Tensor, key: Key, shape: Sequence[int] | None = None
) -> Tensor:
    """Return ``x * (1 + deviation * z)``, ``z`` standard normal, the factor in fp64 and the product in fp32."""
    noise = 1.0 + deviation * normal(x.shape if shape is None else shape, key, x.device)
    wide = x if x.dtype == torch.float64 else x.float()
    return (wide * noise.to(wide.dtype)).to(x.dtype)


def add_noise(x: Tensor, deviation: float | Tensor, key: Key, shape: Sequence[int] | None = None) -> Tensor:
    """Return ``x + deviation * z``, ``z`` standard normal, summed in fp64 and rounded to fp32, then to the dtype."""
    total = x.double() + deviation * normal(x.shape if shape is None else shape, key, x.device)
    return (total if x.dtype == torch.float64 else total.float()).to(x.dtype)
