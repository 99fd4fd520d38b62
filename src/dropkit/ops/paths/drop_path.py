"""Stochastic depth: drop a whole residual branch, one coin per sample."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def drop_path(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero the branch of randomly chosen samples and rescale the others.

    Row ``n`` becomes ``x[n] * (1 / (1 - rate))`` with probability ``1 - rate``, else 0, so ``E[y] = x`` and
    ``Var[y] = x**2 * rate / (1 - rate)`` for ``rate < 1``.

    Args:
        x: Branch output, shape ``(N, *)``, floating point. Never modified.
        rate: Probability (dimensionless, per sample) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``. Dropped rows are exact zeros even where ``x`` is infinite or NaN.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has no batch axis.
        DtypeError: ``x`` is not floating point.

    Reference:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382. *Departures*: one coin
        per sample (theirs: per mini-batch); scaled while training (theirs: at test time).
    """
    used = check_input("drop_path", x, rate, training=training)
    if x.ndim == 0:
        raise ShapeError("drop_path needs a batch axis, shape (N, *), got a 0-d tensor")
    if not training:
        return x
    return drop(x, used, (x.shape[0], *[1] * (x.ndim - 1)), generator=generator, site=site)
