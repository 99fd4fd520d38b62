"""Stochastic depth with torchvision's two modes: a coin a batch, or a coin a sample."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dropkit.core import OptionError
from dropkit.ops.drop import drop
from dropkit.ops.paths.drop_path import drop_path
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input

Mode = Literal["row", "batch"]


def check_mode(mode: str) -> None:
    """Raise ``OptionError`` unless ``mode`` is ``"row"`` or ``"batch"``."""
    if mode not in ("row", "batch"):
        raise OptionError(f"mode must be 'row' or 'batch', got {mode!r}")


def stochastic_depth(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    mode: Mode = "row",
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero a residual branch with probability ``rate``, for the whole batch or sample by sample, and rescale it.

    ``mode="row"`` is :func:`drop_path`. With ``mode="batch"`` all samples share one coin, whatever part of the data
    they are, and the branch is ``x * (1 / (1 - rate))`` or 0. Either way ``E[y] = x`` and
    ``Var[y] = x**2 * rate / (1 - rate)``; only ``"batch"`` couples the samples. :func:`dropkit.nn.linear_by_depth`
    gives the paper's rates of the layers.

    Args:
        x: Branch output, shape ``(N, *)``, floating point. Never modified.
        rate: Probability (dimensionless, per batch or sample) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        mode: ``"row"`` or ``"batch"``.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; what is dropped is exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.
        ShapeError: ``x`` has no batch axis, with ``mode="row"``.
        OptionError: ``mode`` is neither word.
        StreamError: The stream has one member a row, with ``mode="batch"``.

    Reference:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382, eq. (2). *Departures*: scaled
        while training, as in ``torchvision.ops.stochastic_depth`` (theirs: at test time, eq. (5)).
    """
    check_mode(mode)
    if mode == "row":
        return drop_path(x, rate, training=training, generator=generator, site=site)
    used = check_input("stochastic_depth", x, rate, training=training)
    if not training:
        return x
    return drop(x, used, (1,) * x.ndim, generator=generator, site=site, batched=False)
