"""Feature alpha dropout: alpha dropout of whole feature maps."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input
from dropkit.ops.units.alpha_dropout import saturate


def feature_alpha_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Set whole feature maps to SELU's saturation value ``v``, then restore the moments.

    Map ``x[n, c]`` becomes ``a * v + b`` everywhere with probability ``rate``, else ``a * x[n, c] + b``, with
    ``a = ((1 - rate) * (1 + rate * v**2))**-0.5`` and ``b = -a * rate * v``. For ``x`` of mean 0 and variance 1
    over the units, ``y`` has mean 0 and variance 1 as well; all elements of a map share one coin. At rate 1,
    where ``a`` is infinite, the output is 0.

    Args:
        x: Shape ``(N, C, *)``, floating point. Never modified.
        rate: Probability (dimensionless, per sample and channel) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements all equal ``a * v + b``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has fewer than two axes.
        DtypeError: ``x`` is not floating point.

    Reference:
        Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017, sec. "New Dropout Technique",
        arXiv:1706.02515. *Departures*: one coin a feature map, as in Tompson et al., CVPR 2015,
        arXiv:1411.4280 (theirs: one an element).
    """
    used = check_input("feature_alpha_dropout", x, rate, training=training)
    if x.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout needs shape (N, C, *), got {tuple(x.shape)}")
    if not training:
        return x
    coins = (*x.shape[:2], *[1] * (x.ndim - 2))
    return saturate(x, used, coins, generator=generator, site=site)
