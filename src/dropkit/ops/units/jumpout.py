"""Jumpout: dropout of ReLU activations with a random rate, told as a share of the units that are active."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.draws import check_broadcast, draw_keep, draw_normal
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, select
from dropkit.random import skip_key

_EXPONENT = -0.75  # of the scale: between -1, which keeps the mean, and -0.5, which keeps the second moment
_MEAN = math.sqrt(2.0 / math.pi)  # of |z|
_ROUNDS = 6  # Newton steps: four leave an error of 1e-14 for every rate


def jumpout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Drop a share of each sample's units that is drawn anew for it, counted among its active units.

    Sample ``n`` draws ``p = min(|z| * s, 1)``, ``z`` standard normal and ``s`` such that ``E[p] = rate``. Of its
    units the share ``q`` is active, ``x > 0``; each unit is dropped with probability ``d = min(p / q, 1)``, so that
    of all units the expected share ``min(p, q)`` changes from active to dropped. Kept units are multiplied by
    ``(1 - d)**-0.75``: given ``d``, ``E[y] = x * (1 - d)**0.25`` and ``E[y**2] = x**2 * (1 - d)**-0.5``.

    Args:
        x: Shape ``(N, *)``, floating point, the output of a ReLU. Never modified.
        rate: Expected probability (dimensionless, per element of a sample whose units are all active) of
            *dropping*, in ``[0, 1]``; a tensor broadcasts over ``x``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the keys. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts the mask; that of the rates is ``"<site>:rate"``.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has no batch axis.
        DtypeError: ``x`` is not floating point.

    Reference:
        Wang, Zhou and Bilmes, "Jumpout: Improved Dropout for Deep Neural Networks with ReLUs", ICML 2019, PMLR 97,
        sec. 3. *Departures*: ``p`` and ``q`` are those of a sample, so that samples stay independent (theirs: of the
        batch); told by the mean of ``p`` (theirs: the deviation of the normal); ``p`` ends at 1 (theirs: at limits
        to choose).
    """
    used = check_input("jumpout", x, rate, training=training)
    if x.ndim == 0:
        raise ShapeError("jumpout needs shape (N, *), got a 0-d tensor")
    if not training:
        return x
    rates = None if site is None else f"{site}:rate"
    if isinstance(used, Tensor):
        check_broadcast(used, x.shape)
    elif used == 0.0 or x.numel() == 0:
        skip_key(rates, generator)
        skip_key(site, generator)
        return x
    z = draw_normal((x.shape[0], *[1] * (x.ndim - 1)), x.device, generator=generator, site=rates)
    exact = torch.as_tensor(used, dtype=torch.float64, device=x.device)
    deviation = half_normal_deviation(exact if isinstance(used, Tensor) else used)
    share = torch.where(exact < 1.0, (z.abs() * deviation).clamp(max=1.0), 1.0)
    positive = (x > 0).flatten(1) if x.ndim > 1 else (x > 0).unsqueeze(1)
    active = positive.sum(1, dtype=torch.float64).view(z.shape) / positive.shape[1]
    dropping = torch.where(active > 0.0, share / active, share).clamp(max=1.0)
    keep = draw_keep(x.shape, dropping, x.device, generator=generator, site=site)
    return select(x, keep, torch.where(dropping < 1.0, (1.0 - dropping) ** _EXPONENT, 1.0))


def half_normal_deviation(rate: float | Tensor) -> float | Tensor:
    """Return the ``s`` for which ``min(|z| * s, 1)`` has mean ``rate``, ``z`` standard normal and ``rate < 1``."""
    if isinstance(rate, float) and not torch.compiler.is_compiling():
        return _remembered(rate)
    return _solved(torch.as_tensor(rate, dtype=torch.float64))


@lru_cache(maxsize=1024)
def _remembered(rate: float) -> float:
    return _solved(torch.tensor(rate, dtype=torch.float64)).item()


def _solved(rate: Tensor) -> Tensor:
    # The mean is a concave, increasing function of s, at least 1 - E|z| / (2 s) and at most E|z| * s. Newton's first
    # step goes from above the root to below it, and the others from there monotonically up.
    wanted = rate.double().clamp(max=1.0 - 2.0**-32)
    s = 0.5 * _MEAN / (1.0 - wanted)
    for _ in range(_ROUNDS):
        slope = -_MEAN * torch.expm1(-0.5 / s.square())
        mean = s * slope + torch.erfc(math.sqrt(0.5) / s)
        s = torch.maximum(s + (wanted - mean) / slope, (wanted / _MEAN).clamp_min(1e-100))
    return torch.where(wanted > 0.0, s, 0.0)
