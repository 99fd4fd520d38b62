"""The coins of a fused op: one an element, those that ``dropkit.ops.dropout`` would flip."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from dropkit.ops.draws import draw_keep
from dropkit.ops.drop import keep_scales
from dropkit.ops.kernels import direct
from dropkit.ops.kernels import masked as native
from dropkit.ops.law import Law, selecting
from dropkit.ops.reference import drop_all, keep_scale, needs_bits, select
from dropkit.random import Key, keep_mask, next_key


class Coins(NamedTuple):
    """What fell, and the factor of what is kept.

    Every fused form is composed of ``zero``, torch's own operations and ``scale``, in this order, so that a
    dropped element reaches nothing that could make NaN of it, forward or backward.
    """

    zero: Callable[[Tensor], Tensor]  # the same elements as they are, dropped ones exactly 0
    scale: float | Tensor
    draw: tuple[Law, Key] | None  # where native kernels could flip the same coins again


def flip(x: Tensor, rate: float | Tensor, generator: torch.Generator | None, site: str | None) -> Coins:
    """Return the coins of one call on ``x``; ``rate`` is as ``check_input`` returned it."""
    if isinstance(rate, Tensor):
        keep = draw_keep(x.shape, rate, x.device, generator=generator, site=site)
        return Coins(lambda v: select(v, keep, 1.0), keep_scales(rate, x), None)
    if not needs_bits(x, rate, generator, site):
        return Coins((lambda v: v) if rate == 0.0 else drop_all, 1.0, None)
    key, scale = next_key(site, generator, x.device), keep_scale(rate)
    if direct.can_take(x):
        unscaled = selecting(rate, 1.0)
        return Coins(lambda v: native.masked(v, unscaled, None, key), scale, (selecting(rate, scale), key))
    keep = keep_mask(x.shape, rate, key, x.device)
    return Coins(lambda v: select(v, keep, 1.0), scale, None)
