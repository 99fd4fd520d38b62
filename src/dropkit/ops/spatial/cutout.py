"""Cutout: drop one square region of an image, in all channels."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import OptionError
from dropkit.ops.draws import draw_keep, draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, select
from dropkit.ops.spatial.rectangle import outside
from dropkit.random import skip_key


def cutout(
    x: Tensor,
    rate: Rate,
    *,
    size: int = 16,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero a square around a random element of randomly chosen images; nothing is rescaled.

    With probability ``rate`` a sample loses the elements of a ``size`` by ``size`` square in all channels. Its centre
    is uniform over the image, so the square may reach over the border; the share of a chosen image that is lost has
    the mean ``a(H) * a(W)``, where ``a(L)`` is the mean overlap of the square with an axis of length ``L``, divided
    by ``L``: about ``size / L``, less at the borders.

    Args:
        x: Shape ``(N, C, H, W)``, floating point. Never modified.
        rate: Probability (dimensionless, per sample) of *cutting a square out*, in ``[0, 1]``; 1 in the paper.
        size: Edge of the square in elements, at least 1.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the keys. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts the choice of samples; that of the place is ``"<site>:place"``.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has another rank.
        OptionError: ``size`` is not a whole number of at least 1.
        DtypeError: ``x`` is not floating point.

    Reference:
        DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout",
        arXiv:1708.04552 (2017), sec. 3.2. *Departures*: only a share ``rate`` of the images is cut.
    """
    check_size(size)
    used = check_input("cutout", x, rate, 4, "(N, C, H, W)", training=training)
    if not training:
        return x
    place = None if site is None else f"{site}:place"
    if x.numel() == 0 or (isinstance(used, float) and used == 0.0):
        skip_key(site, generator)
        skip_key(place, generator)
        return x
    samples, _, height, width = x.shape
    whole = draw_keep((samples, 1, 1, 1), used, x.device, generator=generator, site=site)
    u = draw_uniform((samples, 2), x.device, generator=generator, site=place)
    top = (u[:, 0] * height).floor() - size // 2
    left = (u[:, 1] * width).floor() - size // 2
    return select(x, whole | outside(x, top, left, top + size, left + size), 1.0)


def check_size(size: int) -> None:
    """Raise ``OptionError`` unless ``size`` is a whole number of at least 1."""
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise OptionError(f"size must be a whole number of at least 1, got {size!r}")
