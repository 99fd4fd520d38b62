"""The Concrete relaxation of a Bernoulli mask, through which gradients reach the rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.core import OptionError
from dropkit.ops.draws import draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, drop_all, needs_bits, scale_by

_LEAST = 2.0**-32  # a rate nearer to 0 or 1 counts as this near: its logit stays finite, and so do gradients


def check_temperature(temperature: float) -> None:
    """Raise ``OptionError`` unless ``temperature`` is positive and finite."""
    if not 0.0 < temperature < float("inf"):
        raise OptionError(f"temperature must be positive and finite, got {temperature!r}")


def differentiable_rate(
    name: str, x: Tensor, rate: Rate, ndim: int | None = None, layout: str = "", *, training: bool
) -> float | Tensor:
    """Check as ``check_input`` does, and return the rate with its gradient: a tensor stays the tensor it is."""
    used = check_input(name, x, rate, ndim, layout, training=training)
    return rate if isinstance(rate, Tensor) else used


def relaxed_drop(
    x: Tensor,
    rate: float | Tensor,
    coins: Sequence[int],
    temperature: float,
    *,
    generator: torch.Generator | None,
    site: str | None,
) -> Tensor:
    """Return ``x * (1 - z) / (1 - rate)`` with ``z`` the relaxed drop mask, differentiable in ``x`` and ``rate``.

    ``z = sigmoid((logit(rate) + logit(u)) / temperature)`` with ``u`` uniform: above 1/2 with probability ``rate``,
    and nearly 0 or 1 at a low temperature. The factor never quite vanishes, so that infinite input gives no NaN.
    """
    if not isinstance(rate, Tensor) and not needs_bits(x, rate, generator, site):
        return x if rate == 0.0 else drop_all(x)
    u = draw_uniform(coins, x.device, generator=generator, site=site)
    exact = torch.as_tensor(rate, dtype=torch.float64, device=x.device).clamp(_LEAST, 1.0 - _LEAST)
    logit = exact.log() - (-exact).log1p() + u.log() - (-u).log1p()
    factor = torch.sigmoid(-logit / temperature) / (1.0 - exact)
    return scale_by(x, factor.clamp_min(torch.finfo(torch.float32).tiny))
