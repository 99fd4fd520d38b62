"""ShakeDrop: scale a residual branch by a random factor, another one backwards."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import OptionError, ShapeError
from dropkit.ops.draws import draw_keep, draw_uniform
from dropkit.ops.paths.steer import steer
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.ops.reference import check_input, scale_by

Interval = tuple[float, float]


def check_interval(name: str, interval: Interval) -> Interval:
    """Return ``interval`` as two floats, or raise ``OptionError`` unless it is finite and not upside down."""
    try:
        low, high = (float(end) for end in interval)
    except (TypeError, ValueError):
        raise OptionError(f"{name} must be two numbers (low, high), got {interval!r}") from None
    if not -1e30 < low <= high < 1e30:
        raise OptionError(f"{name} must be finite numbers (low, high) with low <= high, got {interval!r}")
    return low, high


def shake_drop(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    alpha: Interval = (-1.0, 1.0),
    beta: Interval = (0.0, 1.0),
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply a sample's branch by ``a`` with probability ``rate``, and its gradient by ``b`` instead.

    ``y = (k + a - k a) x`` with ``k`` 0 with probability ``rate`` and else 1, ``a`` uniform in ``alpha``, a sample; the
    gradient is ``(k + b - k b) g`` with the same ``k`` and ``b`` uniform in ``beta``. With ``m`` the mean of ``alpha``,
    ``E[y] = (1 - rate + rate * m) x``, which is also the output in **eval mode**: not ``x``. For the default ``alpha``
    that is ``(1 - rate) x``, and ``Var[y] = x**2 * rate * (1/3 + 1 - rate)``. ``torch.compile``, checkpointing and
    ``vmap`` work; forward-mode differentiation raises, as there is no one derivative.

    Args:
        x: Branch output, shape ``(N, *)``, floating point. Never modified.
        rate: Probability (dimensionless, per sample) of *disturbing* the branch, in ``[0, 1]``.
        training: If false, ``x`` times the mean factor is returned and no random number is drawn.
        alpha: Interval of the forward factor.
        beta: Interval of the backward factor.
        generator: Source of the numbers' keys, drawn from three times. Default: the active stream, else PyTorch's
            generator.
        site: Name under which an active stream counts this call, and ``"<site>:forward"`` and ``"<site>:backward"``
            others.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.
        ShapeError: ``x`` has no batch axis.
        OptionError: ``alpha`` or ``beta`` is no interval.

    Reference:
        Yamada et al., "ShakeDrop Regularization for Deep Residual Learning", IEEE Access 7 (2019), arXiv:1802.02375,
        sec. 3, "ShakeDrop"; the intervals are its best for PyramidNet. *Departures*: ``k`` is drawn a sample (theirs: a
        mini-batch); the residual sum is the caller's.
    """
    used = check_input("shake_drop", x, rate, training=training)
    alpha, beta = check_interval("alpha", alpha), check_interval("beta", beta)
    if x.ndim == 0:
        raise ShapeError("shake_drop needs a batch axis, shape (N, *), got a 0-d tensor")
    if not training:
        now = resolve_rate(rate)
        factor = 1.0 - now * (1.0 - sum(alpha) / 2)
        return scale_by(x, factor)
    shape = (x.shape[0], *[1] * (x.ndim - 1))
    names = [None if site is None else f"{site}:{name}" for name in ("forward", "backward")]
    keep = draw_keep(shape, used, x.device, generator=generator, site=site)
    value, slope = (
        torch.where(
            keep, 1.0, low + (high - low) * draw_uniform(shape, x.device, generator=generator, site=name)
        )
        for (low, high), name in zip((alpha, beta), names, strict=True)
    )
    return steer(x, value, slope)
