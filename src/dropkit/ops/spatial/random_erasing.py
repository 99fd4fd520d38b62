"""Random erasing: drop one rectangle of random size and shape of an image, in all channels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dropkit.core import OptionError
from dropkit.ops.draws import draw_keep, draw_normal, draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input
from dropkit.ops.spatial.rectangle import outside
from dropkit.random import skip_key

Fill = Literal["zeros", "noise"]


def random_erasing(
    x: Tensor,
    rate: Rate,
    *,
    smallest: float = 0.02,
    largest: float = 0.4,
    aspect: float = 0.3,
    fill: Fill = "zeros",
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Erase a rectangle of randomly chosen images; nothing is rescaled.

    With probability ``rate`` a sample loses a rectangle in all channels. Its area, as a share of the image, is
    uniform between ``smallest`` and ``largest``; its height over its width is uniform between ``aspect`` and
    ``1 / aspect``, as far as a rectangle of that area fits; its place is uniform among those inside the image. Up to
    the rounding of its edges to whole elements, ``(smallest + largest) / 2`` of an erased image is lost on average.

    Args:
        x: Shape ``(N, C, H, W)``, floating point. Never modified.
        rate: Probability (dimensionless, per sample) of *erasing*, in ``[0, 1]``.
        smallest: Least area, a share of the image in ``(0, 1]``.
        largest: Greatest area, a share of the image, from ``smallest`` to 1.
        aspect: Least height over width, in ``(0, 1]``.
        fill: What stands in the rectangle then: ``"zeros"``, or ``"noise"``, standard normal variates.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the keys. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts the choice of samples; those of the rectangle and of the noise
            are ``"<site>:place"`` and ``"<site>:noise"``.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has another rank.
        OptionError: Another argument is outside its range.
        DtypeError: ``x`` is not floating point.

    Reference:
        Zhong, Zheng, Kang, Li and Yang, "Random Erasing Data Augmentation", arXiv:1708.04896 (2017), AAAI 2020,
        algorithm 1. *Departures*: the shape is drawn among those that fit (theirs: a rectangle that does not fit
        where it fell is drawn again, which favours small ones); noise is normal (theirs: uniform over pixel values).
    """
    check_region(smallest, largest, aspect, fill)
    used = check_input("random_erasing", x, rate, 4, "(N, C, H, W)", training=training)
    if not training:
        return x
    place, noise = (None if site is None else f"{site}:{part}" for part in ("place", "noise"))
    if x.numel() == 0 or (isinstance(used, float) and used == 0.0):
        for name in (site, place, noise) if fill == "noise" else (site, place):
            skip_key(name, generator)
        return x
    whole = draw_keep((x.shape[0], 1, 1, 1), used, x.device, generator=generator, site=site)
    u = draw_uniform((x.shape[0], 4), x.device, generator=generator, site=place)
    keep = whole | outside(x, *_rectangle(x, u, smallest, largest, aspect))
    if fill == "zeros":
        return torch.where(keep, x, 0.0)
    return torch.where(keep, x, draw_normal(x.shape, x.device, generator=generator, site=noise).to(x.dtype))


def check_region(smallest: float, largest: float, aspect: float, fill: str) -> None:
    """Raise ``OptionError`` unless sizes and shape describe rectangles, and ``fill`` is known."""
    if not 0.0 < smallest <= largest <= 1.0:
        raise OptionError(
            f"smallest and largest must be 0 < smallest <= largest <= 1, got {smallest!r}, {largest!r}"
        )
    if not 0.0 < aspect <= 1.0:
        raise OptionError(f"aspect must be in (0, 1], got {aspect!r}")
    if fill not in ("zeros", "noise"):
        raise OptionError(f"fill must be 'zeros' or 'noise', got {fill!r}")


def _rectangle(
    x: Tensor, u: Tensor, smallest: float, largest: float, aspect: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    height, width = x.shape[2:]
    area = (smallest + (largest - smallest) * u[:, 0]) * (height * width)
    flattest, steepest = area / width**2, height**2 / area  # the shapes in which this area fits
    low = torch.minimum(flattest.clamp(min=aspect), steepest)
    high = torch.maximum(steepest.clamp(max=1.0 / aspect), low)
    shape = low + (high - low) * u[:, 1]
    rows = (area * shape).sqrt().round().clamp(1, height)
    columns = (area / shape).sqrt().round().clamp(1, width)
    top = (u[:, 2] * (height - rows + 1)).floor()
    left = (u[:, 3] * (width - columns + 1)).floor()
    return top, left, top + rows, left + columns
