"""DropFilter: drop the output of whole filters, for all samples at once."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def drop_filter(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero the output of randomly chosen filters of a convolution and rescale the others.

    Channel ``c`` of every sample becomes ``x[:, c] / (1 - rate)`` with probability ``1 - rate``, else 0, so
    ``E[y] = x`` and ``Var[y] = x**2 * rate / (1 - rate)``; all samples of a call share the coin of a filter.

    Args:
        x: Output of a convolution, shape ``(N, C, *)``, floating point. Never modified.
        rate: Probability (dimensionless, per filter) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped channels are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has fewer than three axes.
        StreamError: The active stream has one member a row, and the rows share one mask.
        DtypeError: ``x`` is not floating point.

    Reference:
        Chen, Niu and Tian, "DropFilter: Dropout for Convolutions", arXiv:1810.09849 (2018). *Departures*: scaled
        while training. With a coin for each sample it is :func:`dropkit.ops.spatial_dropout2d`.
    """
    used = check_input("drop_filter", x, rate, training=training)
    if x.ndim < 3:
        raise ShapeError(f"drop_filter needs shape (N, C, *) with a spatial axis, got {tuple(x.shape)}")
    if not training:
        return x
    coins = (1, x.shape[1], *[1] * (x.ndim - 2))
    return drop(x, used, coins, generator=generator, site=site, batched=False)
