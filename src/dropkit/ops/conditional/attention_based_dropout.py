"""Attention-based dropout layer: hide the most salient region of a feature map, or stress it."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import OptionError
from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def check_threshold(threshold: float) -> None:
    """Raise ``OptionError`` unless ``threshold`` is in ``[0, 1]``."""
    if not 0.0 <= threshold <= 1.0:
        raise OptionError(f"threshold must be in [0, 1], got {threshold!r}")


def attention_based_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    threshold: float = 0.8,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero a sample's most salient positions with probability ``rate``, else multiply it by its importance map.

    The attention ``a`` of a position is the mean of ``x`` over the channels. With probability ``rate`` the positions
    with ``a >= threshold * max(a)`` become zero in every channel and the others stay as they are; otherwise
    ``y = x * sigmoid(a)``. Nothing is rescaled, so ``E[y]`` is the mixture of the two, not ``x``; at rate 0 the
    importance map still acts.

    Args:
        x: Feature maps, shape ``(N, C, H, W)``, floating point. Never modified.
        rate: Probability (dimensionless, per sample) of *hiding* the salient region, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        threshold: Share of the maximal attention (dimensionless) from which on a position counts as salient, in
            ``[0, 1]``: lower hides more.
        generator: Source of the coins' key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; hidden positions are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has not four axes.
        OptionError: ``threshold`` is outside ``[0, 1]``.
        DtypeError: ``x`` is not floating point.

    Reference:
        Choe & Shim, "Attention-based Dropout Layer for Weakly Supervised Object Localization", CVPR 2019, sec. 3,
        arXiv:1908.10028. *Departures*: one coin a sample (theirs: a batch).
    """
    check_threshold(threshold)
    used = check_input("attention_based_dropout", x, rate, 4, "(N, C, H, W)", training=training)
    if not training:
        return x
    attention = x.mean(1, keepdim=True)
    stressed = draw_keep((x.shape[0], 1, 1, 1), used, x.device, generator=generator, site=site)
    if x.numel() == 0:
        return x * attention.sigmoid()
    salient = attention >= threshold * attention.amax((2, 3), keepdim=True)
    return torch.where(stressed, x * attention.sigmoid(), torch.where(salient, 0.0, x))
