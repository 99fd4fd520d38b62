"""DropIn: the units of a new layer come in one by one, in place of those it is put after."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def drop_in(
    x: Tensor,
    rate: Rate,
    old: Tensor,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Take each unit from the new layer with probability ``1 - rate``, else from what it is put after.

    ``y = old`` with probability ``rate``, else ``x``: mean ``(1 - rate) * x + rate * old``, variance
    ``rate * (1 - rate) * (x - old)**2``. When not training, the mean is returned.

    Args:
        x: Output of the new layer, any shape, floating point. Never modified.
        rate: Probability (dimensionless, per unit) that the new unit is still *dropped*, in ``[0, 1]``; let a
            schedule take it from 1 to 0.
        old: What the new layer was given, same shape, dtype and device.
        training: Whether to draw. If not, no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``old`` has another shape than ``x``.
        DtypeError: ``x`` is not floating point.

    Reference:
        Smith, Hand & Doster, "Gradual DropIn of Layers to Train Very Deep Neural Networks", CVPR 2016, sec. 3,
        arXiv:1511.06951. *Departures*: ``rate`` for ``1 - p``; the mean in eval mode, so that a network may be used
        before all units are in.
    """
    used = check_input("drop_in", x, rate)
    if old.shape != x.shape:
        raise ShapeError(
            f"drop_in needs a new layer that keeps the shape, got {tuple(old.shape)} in and {tuple(x.shape)} out"
        )
    if training:
        keep = draw_keep(x.shape, used, x.device, generator=generator, site=site)
        return torch.where(keep, x, old)
    if isinstance(used, float) and used in (0.0, 1.0):
        return x if used == 0.0 else old
    if isinstance(used, Tensor):
        used = used.to(x.device, torch.float64 if x.dtype == torch.float64 else torch.float32)
    return ((1.0 - used) * x + used * old).to(x.dtype)
