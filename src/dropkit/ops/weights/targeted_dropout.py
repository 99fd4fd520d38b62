"""Targeted dropout: drop only among the weights, or units, that pruning would remove."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError, check_rate
from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def targeted_weight_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    share: float = 0.5,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero each of a unit's smallest weights with probability ``rate``; nothing is rescaled.

    Of the ``n`` incoming weights of each output unit, the ``floor(share * n)`` of least magnitude are candidates:
    there ``E[y] = x * (1 - rate)`` and ``Var[y] = x**2 * rate * (1 - rate)``. The others are kept. At rate 1 the
    result is the pruned weight, which is how to prune after training.

    Args:
        x: Weights, shape ``(out, *in)``, floating point. Never modified.
        rate: Probability (dimensionless, per candidate) of *dropping*, in ``[0, 1]``; the paper's alpha.
        training: If false, ``x`` itself is returned and no random number is drawn.
        share: Share of candidates among the incoming weights of a unit, in ``[0, 1]``; the paper's gamma.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped weights are exact zeros.

    Raises:
        RateError: ``rate`` or ``share`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.
        ShapeError: ``x`` has fewer than two axes.
        StreamError: The stream has one member a row.

    Reference:
        Gomez et al., "Learning Sparse Networks Using Targeted Dropout", 2019, arXiv:1905.13678, sec. 3.
        *Departures*: in eval mode nothing is pruned.
    """
    return _targeted("targeted_weight_dropout", x, rate, training, share, generator, site, units=False)


def targeted_unit_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    share: float = 0.5,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero all weights of each of a layer's weakest units with probability ``rate``; nothing is rescaled.

    The ``floor(share * out)`` units whose incoming weights have the least Euclidean norm are candidates; see
    :func:`targeted_weight_dropout` for the rest.

    Args:
        x: Weights, shape ``(out, *in)``, floating point. Never modified.
        rate: Probability (dimensionless, per candidate) of *dropping*, in ``[0, 1]``; the paper's alpha.
        training: If false, ``x`` itself is returned and no random number is drawn.
        share: Share of candidates among the units, in ``[0, 1]``; the paper's gamma.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Reference:
        Gomez et al., "Learning Sparse Networks Using Targeted Dropout", 2019, arXiv:1905.13678, sec. 3.
        *Departures*: in eval mode nothing is pruned.
    """
    return _targeted("targeted_unit_dropout", x, rate, training, share, generator, site, units=True)


def _targeted(
    name: str,
    x: Tensor,
    rate: Rate,
    training: bool,
    share: float,
    generator: torch.Generator | None,
    site: str | None,
    *,
    units: bool,
) -> Tensor:
    used = check_input(name, x, rate, training=training)
    share = check_rate(share, "share")
    if x.ndim < 2:
        raise ShapeError(f"{name} needs weights of shape (out, *in), got {tuple(x.shape)}")
    if not training:
        return x
    rows = x.detach().flatten(1)
    if units:
        strength = rows.to(torch.promote_types(x.dtype, torch.float32)).norm(dim=1)
        candidates = _least(strength, share).view(-1, *[1] * (x.ndim - 1))
    else:
        candidates = _least(rows.abs(), share).view(x.shape)
    keep = draw_keep(candidates.shape, used, x.device, generator=generator, site=site, batched=False)
    return torch.where(keep | ~candidates, x, 0.0)


def _least(strength: Tensor, share: float) -> Tensor:
    """Return which elements are among the ``floor(share * n)`` least of the last axis, the earlier first on a tie."""
    count = int(share * strength.shape[-1] + 1e-9)  # 0.3 * 10 is 3, whatever binary fractions say
    rank = strength.argsort(dim=-1, stable=True).argsort(dim=-1)
    return rank < count
