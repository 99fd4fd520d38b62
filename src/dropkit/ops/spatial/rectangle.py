"""Rectangles in images, one a sample."""

from __future__ import annotations

import torch
from torch import Tensor


def outside(images: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Return a mask of shape ``(N, 1, H, W)``, False in each sample's rectangle.

    Args:
        images: Shape ``(N, C, H, W)``.
        top: First row inside, shape ``(N,)``; it and the others may lie beyond the image.
        left: First column inside.
        bottom: First row below.
        right: First column beyond.
    """
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    inside_rows = (rows >= top.unsqueeze(1)) & (rows < bottom.unsqueeze(1))
    inside_columns = (columns >= left.unsqueeze(1)) & (columns < right.unsqueeze(1))
    return ~(inside_rows.unsqueeze(2) & inside_columns.unsqueeze(1)).unsqueeze(1)
