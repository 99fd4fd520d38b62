"""MaxDropout: drop the most active units."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.draws import check_broadcast, draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, drop_all, select
from dropkit.random import skip_key


def max_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero the most active units of each sample, a random share of them, and leave the others as they are.

    Sample ``n`` draws a share ``r``, uniform in ``(0, 2 * rate)``, or in ``(2 * rate - 1, 1)`` for a rate above
    1/2; of its ``u`` units the ``k`` largest become 0, ``k`` one of the two whole numbers next to ``r * u``, drawn
    so that ``E[k] = r * u``. Exactly the share ``rate`` is dropped in expectation, whatever the values are.

    Args:
        x: Shape ``(N, *)``, floating point. Never modified. Of equal values the first count as larger.
        rate: Expected share (dimensionless, of a sample's units) to *drop*, in ``[0, 1]``; a tensor broadcasts over
            ``(N, 1, ...)``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the keys. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts the shares; that of the rounding is ``"<site>:rounding"``.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has no batch axis.
        DtypeError: ``x`` is not floating point.

    Reference:
        Santos, Colombo, Roder and Papa, "MaxDropout: Deep Neural Network Regularization Based on Maximum Output
        Values", ICPR 2020, arXiv:2007.13723, algorithm 1. *Departures*: the largest are told by their rank in the
        sample (theirs: by a threshold relative to the largest value, which drops a share that depends on the
        values, and in the public code couples the samples of a batch); the share varies around the one told.
    """
    used = check_input("max_dropout", x, rate, training=training)
    if x.ndim == 0:
        raise ShapeError("max_dropout needs shape (N, *), got a 0-d tensor")
    if not training:
        return x
    rounding = None if site is None else f"{site}:rounding"
    coins = (x.shape[0], *[1] * (x.ndim - 1))
    if isinstance(used, Tensor):
        check_broadcast(used, coins)
    elif used in (0.0, 1.0) or x.numel() == 0:
        skip_key(site, generator)
        skip_key(rounding, generator)
        return x if used == 0.0 else drop_all(x)
    u = draw_uniform(coins, x.device, generator=generator, site=site)
    v = draw_uniform(coins, x.device, generator=generator, site=rounding)
    exact = torch.as_tensor(used, dtype=torch.float64, device=x.device)
    low, high = (2.0 * exact - 1.0).clamp(min=0.0), (2.0 * exact).clamp(max=1.0)
    count = ((low + (high - low) * u) * math.prod(x.shape[1:]) + v).floor()
    flat = x.detach().flatten(1) if x.ndim > 1 else x.detach().unsqueeze(1)
    order = flat.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(flat.shape[1], device=x.device)
    keep = torch.empty_like(order, dtype=torch.bool).scatter(1, order, place >= count.flatten().unsqueeze(1))
    return select(x, keep.view(x.shape), 1.0)
