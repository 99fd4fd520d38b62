"""Guided dropout: drop among the strong units, leave the weak ones to be trained."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dropkit.core import OptionError
from dropkit.ops.axes import along, unit_coins
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input

Pick = Literal["region", "top"]
_BINS = 100


def check_pick(pick: str) -> None:
    """Raise ``OptionError`` unless ``pick`` is ``"region"`` or ``"top"``."""
    if pick not in ("region", "top"):
        raise OptionError(f"pick must be 'region' or 'top', got {pick!r}")


def active_units(strength: Tensor) -> Tensor:
    """Return which units lie outside the fullest of 100 bins of ``abs(strength)`` from 0 to its maximum."""
    size = strength.detach().abs().double()
    bins = (size / size.amax().clamp_min(torch.finfo(torch.float64).tiny) * _BINS).to(torch.int64)
    counts = (bins.unsqueeze(1) == torch.arange(_BINS + 1, device=bins.device)).sum(0)
    return bins != counts.argmax()


def guided_dropout(
    x: Tensor,
    rate: Rate,
    strength: Tensor,
    *,
    training: bool,
    pick: Pick = "region",
    axis: int = 1,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Drop units that have proven strong, so that the weak ones get to learn.

    ``pick="region"``: the fullest of 100 bins of the strengths is the inactive region, and its units are kept as
    they are. Each other unit of a sample is zero with probability ``rate``, else ``x / (1 - rate)``: mean ``x``,
    variance ``x**2 * rate / (1 - rate)``. ``pick="top"``: the ``floor(rate * units)`` strongest units are zero in
    every sample, the others stay as they are; nothing is random.

    Args:
        x: Shape ``(N, ..., units, ...)``, floating point. Never modified.
        rate: Probability (dimensionless, per active unit), or share of units, to *drop*, in ``[0, 1]``.
        strength: Strength of each unit, shape ``(units,)``; its sign does not matter, and no gradient reaches it.
        training: If false, ``x`` itself is returned and no random number is drawn.
        pick: Which units may be dropped.
        axis: Axis of ``x`` along which its units lie. One coin covers a unit of a sample.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``strength`` has not one value a unit.
        OptionError: ``pick`` is neither word.
        DtypeError: ``x`` is not floating point.

    Reference:
        Keshari, Singh & Vatsa, "Guided Dropout", AAAI 2019, "Guided Dropout (top-k)" and "(DR)", arXiv:1812.03965.
        *Departures*: a coin a sample and unit (theirs: a unit); active units are rescaled while training.
    """
    check_pick(pick)
    used = check_input("guided_dropout", x, rate, training=training)
    values = along("guided_dropout", strength.detach(), x, axis)
    if not training:
        return x
    coins = unit_coins(x, axis)
    if pick == "region":
        active = along("guided_dropout", active_units(strength), x, axis).to(x.device)
        rates = torch.where(active, torch.as_tensor(used, dtype=torch.float64, device=x.device), 0.0)
        return drop(x, rates, coins, generator=generator, site=site)
    rank = values.abs().flatten().argsort(descending=True, stable=True).argsort()
    count = torch.as_tensor(used, dtype=torch.float64, device=rank.device) * len(rank)
    top = along("guided_dropout", rank < count.floor(), x, axis).to(x.device)
    return torch.where(top, 0.0, x)
