"""Uniform dropout: multiply each element by a uniform variate of mean one."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import RateError
from dropkit.ops.draws import check_broadcast, draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, scale_by
from dropkit.random import skip_key


def uniform_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply each element by ``1 + r``, ``r`` uniform in ``(-b, b)``, ``b**2 = 3 * rate / (1 - rate)``.

    ``E[y] = x`` and ``Var[y] = x**2 * b**2 / 3 = x**2 * rate / (1 - rate)``, the moments of dropout at the same
    rate. The noise is bounded: up to ``rate = 1/4``, where ``b = 1``, no element changes its sign.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Rate (dimensionless) of the dropout whose variance the noise has, in ``[0, 1)``;
            ``b**2 / (3 + b**2)`` for a given half-width ``b``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the noise's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1)``, where the variance is infinite, or NaN.
        DtypeError: ``x`` is not floating point.

    Reference:
        Li, Chen, Hu and Yang, "Understanding the Disharmony between Dropout and Batch Normalization by Variance
        Shift", arXiv:1801.05134 (2018), CVPR 2019, "Uout". *Departures*: told by ``rate`` (theirs: by ``b``). At
        ``rate = 1/4`` it is the uniform mask of Shen et al., "Continuous Dropout", IEEE TNNLS 29 (2018), scaled to
        mean one.
    """
    used = check_input("uniform_dropout", x, rate, training=training)
    if isinstance(used, float) and used == 1.0:
        raise RateError("uniform_dropout needs a rate in [0, 1), got 1.0: its variance would be infinite")
    if not training:
        return x
    if isinstance(used, Tensor):
        check_broadcast(used, x.shape)
    elif used == 0.0 or x.numel() == 0:
        skip_key(site, generator)
        return x
    uniform = draw_uniform(x.shape, x.device, generator=generator, site=site)
    exact = used.to(x.device, torch.float64) if isinstance(used, Tensor) else used
    half_width = (3.0 * exact / (1.0 - exact)) ** 0.5
    return scale_by(x, 1.0 + half_width * (2.0 * uniform - 1.0))
