"""Alpha dropout: dropout that keeps the mean and variance of self-normalising activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dropkit.ops.draws import draw_keep
from dropkit.ops.law import replacing
from dropkit.ops.masked import masked
from dropkit.ops.rate import Rate
from dropkit.ops.reference import affine, check_input, drop_all, needs_bits

SATURATION = -1.7580993408473766  # -lambda * alpha of SELU: what a dropped unit is set to


def alpha_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Set each element to SELU's saturation value ``v`` with probability ``rate``, then restore the moments.

    ``y = a * (x or v) + b`` with ``a = ((1 - rate) * (1 + rate * v**2))**-0.5`` and ``b = -a * rate * v``. For
    ``x`` of mean 0 and variance 1 over the units, ``y`` has mean 0 and variance 1 as well. At rate 1, where
    ``a`` is infinite, the output is 0.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Probability (dimensionless, per element) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements all equal ``a * v + b``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.

    Reference:
        Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017, sec. "New Dropout Technique",
        arXiv:1706.02515.
    """
    used = check_input("alpha_dropout", x, rate, training=training)
    if not training:
        return x
    return saturate(x, used, None, generator=generator, site=site)


def saturate(
    x: Tensor,
    rate: float | Tensor,
    coins: Sequence[int] | None,
    *,
    generator: torch.Generator | None,
    site: str | None,
) -> Tensor:
    """Set what the coins drop to :data:`SATURATION`, then bring mean 0 and variance 1 back.

    Args:
        x: Input, floating point; may be empty.
        rate: Probability of dropping in ``[0, 1]``, as ``check_input`` returned it.
        coins: Shape of the mask, with as many axes as ``x`` and broadcasting over it; None: one coin an element.
        generator: Source of the mask's key. None: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.
    """
    if isinstance(rate, Tensor):
        shape = x.shape if coins is None else coins
        keep = draw_keep(shape, rate, x.device, generator=generator, site=site)
        exact = rate.to(x.device, torch.float64)
        a, b = _restoring(exact)
        value = affine(x, keep, a, b, a * SATURATION + b)
        return torch.where(exact < 1.0, value, torch.zeros_like(value))
    if not needs_bits(x, rate, generator, site):
        return x if rate == 0.0 else drop_all(x)
    a, b = _restoring(rate)
    return masked(x, replacing(rate, a, b, a * SATURATION + b), coins, generator, site)


def _restoring(rate: Any) -> tuple[Any, Any]:
    """Return factor and summand that bring mean 0 and variance 1 back, for a float or a tensor of rates."""
    a = ((1.0 - rate) * (1.0 + rate * SATURATION**2)) ** -0.5
    return a, -a * rate * SATURATION
