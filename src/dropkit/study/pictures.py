"""Examples that are images, as small pictures for people."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from dropkit.records import Picture

_LARGEST = 32  # pixels on a side: enough to recognise, and 24 of them fit a page


def pictures(part: Dataset[Any], rows: Sequence[int]) -> list[Picture]:
    """Return pictures of ``rows`` of ``part``, whose inputs are images ``(C, H, W)``; none where ``C`` is not 1 or 3.

    The darkest value among them is black, the brightest white. Larger images are averaged down to 32 pixels.
    """
    images = [torch.as_tensor(part[row][0]).float() for row in rows]
    if not images or len(images[0]) not in (1, 3):
        return []
    small = torch.stack([_small(image) for image in images])
    low, high = float(small.min()), float(small.max())
    levels = ((small - low) / max(high - low, 1e-12) * 255).round().to(torch.uint8)
    return [_picture(row, image.numpy()) for row, image in zip(rows, levels, strict=True)]


def _small(image: Tensor) -> Tensor:
    height, width = image.shape[1:]
    ratio = min(1.0, _LARGEST / max(height, width))
    size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    return image if ratio == 1.0 else F.adaptive_avg_pool2d(image, size)


def _picture(row: int, image: NDArray[np.uint8]) -> Picture:
    channels, height, width = image.shape
    content = np.ascontiguousarray(image.transpose(1, 2, 0)).tobytes()
    pixels = base64.b64encode(content).decode("ascii")
    return Picture(row=row, height=height, width=width, channels=1 if channels == 1 else 3, pixels=pixels)
