"""Augmentations of image batches: each draws from a given generator and is vectorised over the batch.

Every class is a frozen dataclass of checked options. Calling one with a batch ``(N, C, H, W)`` and a generator
returns a new batch of the same shape and dtype; the images of a batch are treated independently. Random numbers are
drawn on the generator's device, and how many depends only on ``N``, so that equal seeds give equal augmentations
whatever the model or the image content.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from dropkit.core import ConfigError, ShapeError
from dropkit.train.values import one_of, real, whole


@dataclass(frozen=True)
class Shift:
    """Move each image by whole pixels, uniform on ``-pixels .. pixels`` for each axis; ``fill`` comes in."""

    name: ClassVar[str] = "shift"
    pixels: int = 2
    fill: float = 0.0

    def __post_init__(self) -> None:
        whole("augment shift: pixels", self.pixels, low=1)
        real("augment shift: fill", self.fill)

    def fits(self, height: int, width: int) -> None:
        """Raise ``ShapeError`` if an image could be moved out of sight."""
        if self.pixels >= min(height, width):
            raise ShapeError(
                f"augment shift: pixels must be smaller than the image, got {self.pixels} for {height}x{width} images"
            )

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the batch, each image moved by its own offset."""
        count, _, height, width = images.shape
        start = torch.randint(
            0, 2 * self.pixels + 1, (2, count, 1), generator=generator, device=generator.device
        )
        start = start.to(images.device)
        rows = start[0] + torch.arange(height, device=images.device)
        columns = start[1] + torch.arange(width, device=images.device)
        padded = F.pad(images, [self.pixels] * 4, value=self.fill)
        which = torch.arange(count, device=images.device)[:, None, None]
        return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class Rotate:
    """Turn each image about its centre by an angle uniform on ``[-degrees, degrees]``, bilinear."""

    name: ClassVar[str] = "rotate"
    degrees: float = 10.0
    fill: float = 0.0

    def __post_init__(self) -> None:
        real("augment rotate: degrees", self.degrees, low=0.0, high=180.0, open_low=True)
        real("augment rotate: fill", self.fill)

    def fits(self, height: int, width: int) -> None:
        """Accept images of any size."""

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the batch, each image turned by its own angle."""
        count, _, height, width = images.shape
        angle = _uniform(count, generator, images).mul_(2).sub_(1).mul_(math.radians(self.degrees))
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        # The grid's axes run over -1 .. 1 whatever the size: without the ratios a turn would shear oblong images.
        theta = torch.stack([cos, -sin * (height / width), zero, sin * (width / height), cos, zero], dim=1)
        return _resample(images - self.fill, theta.view(-1, 2, 3), outside="zeros") + self.fill


@dataclass(frozen=True)
class Flip:
    """Mirror each image with the given probability, left-right or top-bottom."""

    name: ClassVar[str] = "flip"
    probability: float = 0.5
    axis: Literal["horizontal", "vertical"] = "horizontal"

    def __post_init__(self) -> None:
        real("augment flip: probability", self.probability, low=0.0, high=1.0)
        one_of("augment flip: axis", self.axis, ("horizontal", "vertical"))

    def fits(self, height: int, width: int) -> None:
        """Accept images of any size."""

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the batch, each image mirrored or not."""
        coins = _uniform(len(images), generator, images) < self.probability
        mirrored = images.flip(-1 if self.axis == "horizontal" else -2)
        return torch.where(coins.view(-1, 1, 1, 1), mirrored, images)


@dataclass(frozen=True)
class Crop:
    """Enlarge a random window of each image to full size, bilinear.

    The window has the image's proportions; its side is a share of the image's, uniform on ``[smallest, 1]``, and its
    place is uniform over all that lie inside the image. (Padding an image and cropping it at random is a ``shift``.)
    """

    name: ClassVar[str] = "crop"
    smallest: float = 0.8

    def __post_init__(self) -> None:
        real("augment crop: smallest", self.smallest, low=0.0, high=1.0, open_low=True)

    def fits(self, height: int, width: int) -> None:
        """Accept images of any size."""

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the batch, each image cropped by its own window."""
        count = len(images)
        side = self.smallest + (1.0 - self.smallest) * _uniform(count, generator, images)
        across, down = ((2.0 * _uniform(count, generator, images) - 1.0) * (1.0 - side) for _ in range(2))
        zero = torch.zeros_like(side)
        theta = torch.stack([side, zero, across, zero, side, down], dim=1)
        return _resample(images, theta.view(-1, 2, 3), outside="border")


@dataclass(frozen=True)
class Cutout:
    """Overwrite one square of ``size`` x ``size`` pixels in each image by ``fill``.

    The square's centre is uniform over the pixels, so that squares at the border are cut off.

    Reference:
        DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017,
        arXiv:1708.04552.
    """

    name: ClassVar[str] = "cutout"
    size: int = 4
    fill: float = 0.0

    def __post_init__(self) -> None:
        whole("augment cutout: size", self.size, low=1)
        real("augment cutout: fill", self.fill)

    def fits(self, height: int, width: int) -> None:
        """Raise ``ShapeError`` if the square is larger than the image."""
        if self.size > min(height, width):
            raise ShapeError(
                f"augment cutout: size must not exceed the image, got {self.size} for {height}x{width} images"
            )

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the batch, a square of each image overwritten."""
        count, _, height, width = images.shape
        inside = []
        for length in (height, width):
            centre = torch.randint(0, length, (count, 1), generator=generator, device=generator.device)
            first = centre.to(images.device) - self.size // 2
            place = torch.arange(length, device=images.device)
            inside.append((place >= first) & (place < first + self.size))
        square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
        return images.masked_fill(square, self.fill)


Augmentation = Shift | Rotate | Flip | Crop | Cutout
KINDS: dict[str, type[Augmentation]] = {kind.name: kind for kind in (Shift, Rotate, Flip, Crop, Cutout)}


def augmentation(given: object) -> Augmentation:
    """Return the augmentation meant by a name, by a mapping with ``name`` and options, or by itself.

    Raises:
        ConfigError: unknown name or option, or an option's value is out of range.
    """
    if isinstance(given, Augmentation):
        return given
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, Mapping) or "name" not in given:
        raise ConfigError(
            f'augment: each entry must be a name or a table like {{name = "shift"}}, got {given!r}'
        )
    one_of("augment: name", given["name"], tuple(KINDS))
    kind = KINDS[given["name"]]
    options: dict[str, Any] = {str(key): value for key, value in given.items() if key != "name"}
    known = [field.name for field in fields(kind)]
    for key in options:
        if key not in known:
            raise ConfigError(f"augment {kind.name}: unknown option {key!r}; known: {', '.join(known)}")
    return kind(**options)


def _uniform(count: int, generator: Generator, like: Tensor) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device).to(like)


def _resample(images: Tensor, theta: Tensor, *, outside: str) -> Tensor:
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=outside, align_corners=False)
