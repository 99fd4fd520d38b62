"""Spans: runs of neighbours that are dropped together, as long on average as the rate asks."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.ops.draws import check_broadcast, draw_uniform


def draw_span(
    rows: int,
    size: int,
    rate: float | Tensor,
    device: torch.device,
    *,
    generator: torch.Generator | None,
    site: str | None,
) -> tuple[Tensor, Tensor]:
    """Draw where a span lies in each row, and how long it is; one call, with one key.

    Args:
        rows: Number of rows, each with a span of its own.
        size: Number of places in a row.
        rate: Mean share of the places that the span takes; a tensor broadcasts to ``(rows, 1)``.
        device: Where to make them.
        generator: Source of the key. None: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Two tensors of shape ``(rows, 1)``: a uniform variate in ``(0, 1)``, fp64, to place the span by, and its
        length, int64: ``rate * size`` rounded up or down at random, so that it is right on average.
    """
    if isinstance(rate, Tensor):
        check_broadcast(rate, (rows, 1))
        rate = rate.to(device, torch.float64)
    place, rounding = draw_uniform((rows, 2, 1), device, generator=generator, site=site).unbind(1)
    length = (rate * size + rounding).floor().clamp(max=size).to(torch.int64)
    return place, length
