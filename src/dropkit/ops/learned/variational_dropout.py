"""Variational dropout: Gaussian noise whose variance can be learned by gradient descent."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import RateError
from dropkit.ops.draws import draw_normal
from dropkit.ops.learned.relaxed import differentiable_rate
from dropkit.ops.rate import Rate
from dropkit.ops.reference import scale_by
from dropkit.random import skip_key


def variational_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply each element by ``1 + sqrt(alpha) * z``, ``z`` standard normal, ``alpha = rate / (1 - rate)``.

    ``E[y] = x`` and ``Var[y] = x**2 * alpha``, the law of Gaussian dropout; here a gradient reaches ``rate`` through
    the noise (reparameterisation), so that it can be learned.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Rate (dimensionless) of the dropout whose variance the noise has, in ``[0, 1)``; ``[0, 0.5]`` is
            ``alpha`` in ``[0, 1]``, where the prior's divergence is approximated well. Gradients reach a tensor,
            which has to be above 0.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the noise's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1)``, where the variance is infinite, or NaN.
        DtypeError: ``x`` is not floating point.

    Reference:
        Kingma, Salimans & Welling, "Variational Dropout and the Local Reparameterization Trick", NeurIPS 2015,
        sec. 3.1 (correlated weight noise), arXiv:1506.02557. *Departures*: ``rate`` for ``alpha``.
    """
    used = differentiable_rate("variational_dropout", x, rate, training=training)
    if isinstance(used, float) and used == 1.0:
        raise RateError("variational_dropout needs a rate in [0, 1), got 1.0: its variance would be infinite")
    if not training:
        return x
    if (isinstance(used, float) and used == 0.0) or x.numel() == 0:
        skip_key(site, generator)
        return x
    z = draw_normal(x.shape, x.device, generator=generator, site=site)
    exact = torch.as_tensor(used, dtype=torch.float64, device=x.device)
    return scale_by(x, 1.0 + (exact / (1.0 - exact)).sqrt() * z)
