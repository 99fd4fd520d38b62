"""Locked dropout: one mask for all steps of a sequence, another for every sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def locked_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    batch_first: bool = True,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero features of a sequence, the same ones at every step.

    Feature ``x[n, :, c]`` becomes ``x[n, :, c] / (1 - rate)`` with probability ``1 - rate``, else 0, so ``E[y] = x``
    and ``Var[y] = x**2 * rate / (1 - rate)``; all steps of a feature share one coin.

    Args:
        x: Shape ``(N, L, C)``, floating point; ``(L, N, C)`` with ``batch_first=False``. Never modified.
        rate: Probability (dimensionless, per sequence and feature) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        batch_first: Whether the batch axis comes before that of time; the masks are the same either way.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped features are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has another rank.
        DtypeError: ``x`` is not floating point.

    Reference:
        Gal & Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", NeurIPS
        2016, sec. 4, arXiv:1512.05287; under this name in Merity et al., "Regularizing and Optimizing LSTM Language
        Models", ICLR 2018, sec. 4.2, arXiv:1708.02182. *Departures*: ``batch_first`` defaults to true.
    """
    layout = "(N, L, C)" if batch_first else "(L, N, C)"
    used = check_input("locked_dropout", x, rate, 3, layout, training=training)
    if not training:
        return x
    rows = x if batch_first else x.transpose(0, 1)
    y = drop(rows, used, (rows.shape[0], 1, rows.shape[2]), generator=generator, site=site)
    if y is rows:
        return x
    return y if batch_first else y.transpose(0, 1)
