"""Gaussian dropout: multiply each element by a normal variate of mean one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dropkit.core import RateError
from dropkit.ops.kernels import noise
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, multiply_noise
from dropkit.random import mask_shape, next_key, skip_key


def gaussian_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply each element by ``1 + s * z``, ``z`` standard normal, ``s**2 = rate / (1 - rate)``.

    ``E[y] = x`` and ``Var[y] = x**2 * rate / (1 - rate)``, the moments of dropout at the same rate; nothing
    becomes exactly zero.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Rate (dimensionless) of the dropout whose variance the noise has, in ``[0, 1)``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the noise's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1)``, where the variance is infinite, or NaN.
        DtypeError: ``x`` is not floating point.

    Reference:
        Srivastava et al., JMLR 15 (2014), sec. 10. *Departures*: none but the meaning of ``rate``.
    """
    used = check_input("gaussian_dropout", x, rate, training=training)
    if isinstance(used, float) and used == 1.0:
        raise RateError("gaussian_dropout needs a rate in [0, 1), got 1.0: its variance would be infinite")
    if not training:
        return x
    if (isinstance(used, float) and used == 0.0) or x.numel() == 0:
        skip_key(site, generator)
        return x
    shape = mask_shape(x.shape, site, generator)
    key = next_key(site, generator, x.device)
    if isinstance(used, Tensor):
        exact = used.to(x.device, torch.float64)
        return multiply_noise(x, (exact / (1.0 - exact)).sqrt(), key, shape)
    deviation = math.sqrt(used / (1.0 - used))
    if shape == x.shape and noise.can_take(x):
        return noise.multiplied(x, deviation, key)
    return multiply_noise(x, deviation, key, shape)
