"""Spatial dropout: drop whole feature maps, one coin per sample and channel."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def spatial_dropout1d(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero whole channels of a sequence; see :func:`spatial_dropout2d`.

    Args:
        x: Shape ``(N, C, L)``, floating point. Never modified.
        rate: Probability (dimensionless, per sample and channel) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.
    """
    return _spatial(x, rate, training, generator, site, "spatial_dropout1d", 3, "(N, C, L)")


def spatial_dropout2d(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero whole feature maps and rescale the others.

    Map ``x[n, c]`` becomes ``x[n, c] / (1 - rate)`` with probability ``1 - rate``, else 0, so ``E[y] = x`` and
    ``Var[y] = x**2 * rate / (1 - rate)``; all elements of a map share one coin.

    Args:
        x: Shape ``(N, C, H, W)``, floating point. Never modified.
        rate: Probability (dimensionless, per sample and channel) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped maps are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has another rank; an unbatched input would drop rows for channels.
        DtypeError: ``x`` is not floating point.

    Reference:
        Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015, sec. 3.2,
        arXiv:1411.4280. *Departures*: scaled while training.
    """
    return _spatial(x, rate, training, generator, site, "spatial_dropout2d", 4, "(N, C, H, W)")


def spatial_dropout3d(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero whole channels of a volume; see :func:`spatial_dropout2d`.

    Args:
        x: Shape ``(N, C, D, H, W)``, floating point. Never modified.
        rate: Probability (dimensionless, per sample and channel) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.
    """
    return _spatial(x, rate, training, generator, site, "spatial_dropout3d", 5, "(N, C, D, H, W)")


def _spatial(
    x: Tensor,
    rate: Rate,
    training: bool,
    generator: torch.Generator | None,
    site: str | None,
    name: str,
    ndim: int,
    layout: str,
) -> Tensor:
    used = check_input(name, x, rate, ndim, layout, training=training)
    if not training:
        return x
    return drop(x, used, (*x.shape[:2], *[1] * (ndim - 2)), generator=generator, site=site)
