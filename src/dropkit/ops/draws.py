"""Random numbers for ops that are more than one mask: each function is one call, with one key."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.random import Key, given_mask, keep_mask, mask_shape, next_key, normal, skip_key, uniform
from dropkit.random.packed import without_rows


def draw_keep(
    shape: Sequence[int],
    rate: float | Tensor,
    device: torch.device,
    *,
    generator: torch.Generator | None,
    site: str | None,
    batched: bool = True,
) -> Tensor:
    """Return a boolean mask of ``shape``, each element True (kept) with probability ``1 - rate``.

    Args:
        shape: Shape; its first axis is the batch, by which masks follow a stream's ``sample``.
        rate: Probability of dropping, as :func:`dropkit.ops.rate.resolve_rate` returned it; a tensor broadcasts.
        device: Where to make it.
        generator: Source of the key. None: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.
        batched: False: the first axis is no batch (a mask over weights, a coin for the whole batch), and the mask is
            the same whatever part of the data the stream's ``sample`` says it stands at.

    Raises:
        ShapeError: A tensor of rates does not broadcast to ``shape``.
    """
    if isinstance(rate, Tensor):
        check_broadcast(rate, shape)
    known = None if isinstance(rate, Tensor) or 0.0 < rate < 1.0 else rate == 0.0
    if known is not None or math.prod(shape) == 0:
        skip_key(site, generator)
        return torch.full(tuple(shape), bool(known), device=device)
    drawn = mask_shape(shape, site, generator, batched=batched)
    if (keep := given_mask(drawn, rate, site, generator, device)) is not None:
        return keep.expand(tuple(shape))
    return keep_mask(drawn, rate, _key(site, generator, device, batched), device).expand(tuple(shape))


def draw_uniform(
    shape: Sequence[int],
    device: torch.device,
    *,
    generator: torch.Generator | None,
    site: str | None,
    batched: bool = True,
) -> Tensor:
    """Return uniform variates in ``(0, 1)``, float64; see :func:`draw_keep`."""
    if math.prod(shape) == 0:
        skip_key(site, generator)
        return torch.empty(tuple(shape), dtype=torch.float64, device=device)
    drawn = mask_shape(shape, site, generator, batched=batched)
    return uniform(drawn, _key(site, generator, device, batched), device).expand(tuple(shape))


def draw_normal(
    shape: Sequence[int],
    device: torch.device,
    *,
    generator: torch.Generator | None,
    site: str | None,
    batched: bool = True,
) -> Tensor:
    """Return standard normal variates, float64; see :func:`draw_keep`."""
    if math.prod(shape) == 0:
        skip_key(site, generator)
        return torch.empty(tuple(shape), dtype=torch.float64, device=device)
    drawn = mask_shape(shape, site, generator, batched=batched)
    return normal(drawn, _key(site, generator, device, batched), device).expand(tuple(shape))


def _key(site: str | None, generator: torch.Generator | None, device: torch.device, batched: bool) -> Key:
    key = next_key(site, generator, device)
    return key if batched else without_rows(key, site)


def check_broadcast(rate: Tensor, shape: Sequence[int]) -> None:
    """Raise ``ShapeError`` unless ``rate`` broadcasts to ``shape`` without enlarging it."""
    sizes = tuple(shape)
    fits = rate.ndim <= len(sizes) and all(
        a in (1, b) for a, b in zip(reversed(rate.shape), reversed(sizes), strict=False)
    )
    if not fits:
        raise ShapeError(
            f"a tensor of rates has to broadcast to the mask's shape {sizes}, got shape {tuple(rate.shape)}"
        )
