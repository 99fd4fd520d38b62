"""Quantal synaptic dilution: quanta that are released or not, and vary in size."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import OptionError
from dropkit.ops.draws import draw_keep, draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, drop_all, needs_bits, scale_by


def check_quanta(shape: int) -> None:
    """Raise ``OptionError`` unless ``shape`` is a whole number of at least 1."""
    if not isinstance(shape, int) or isinstance(shape, bool) or shape < 1:
        raise OptionError(f"shape must be a whole number of at least 1, got {shape!r}")


def quantal_synaptic_dilution(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    shape: int = 11,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero each element with probability ``rate``, and multiply the others by a quantum of random size.

    ``y = 0`` with probability ``rate``, else ``x * q / (1 - rate)`` with ``q`` gamma-distributed of the given shape
    and mean 1. ``E[y] = x`` and ``Var[y] = x**2 * ((1 + 1 / shape) / (1 - rate) - 1)``.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Probability (dimensionless, per element) that nothing is *released*, in ``[0, 1]``; a tensor gives
            each unit its own.
        training: If false, ``x`` itself is returned and no random number is drawn.
        shape: Shape of the gamma distribution, a whole number; ``shape**-0.5`` is the coefficient of variation of a
            quantum, 0.3 by default.
        generator: Source of the keys. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call; the sizes are counted as ``<site>:size``.

    Returns:
        Same shape, dtype and device as ``x``; elements that were not released are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        OptionError: ``shape`` is no whole number of at least 1.
        DtypeError: ``x`` is not floating point.

    Reference:
        Bhumbra, "Quantal synaptic dilution enhances sparse encoding and dropout regularisation in deep networks",
        2020, arXiv:2009.13165; the distributions are those of the quantal model of Bhumbra & Beato, J. Neurophysiol.
        109 (2013), doi:10.1152/jn.00528.2012, eq. 8 and Fig. 1. *Departures*: one release site an element, gamma
        shapes that are whole numbers, and parameters of the 2013 model where the paper of 2020 may choose others.
    """
    check_quanta(shape)
    used = check_input("quantal_synaptic_dilution", x, rate, training=training)
    if not training:
        return x
    size_site = None if site is None else f"{site}:size"
    if isinstance(used, float) and used == 1.0:
        needs_bits(x, used, generator, site)
        needs_bits(x, used, generator, size_site)
        return drop_all(x)
    keep = draw_keep(x.shape, used, x.device, generator=generator, site=site)
    steps = draw_uniform((*x.shape, shape), x.device, generator=generator, site=size_site)
    exact = torch.as_tensor(used, dtype=torch.float64, device=x.device)
    factor = steps.log().sum(-1) / (-shape * (1.0 - exact).where(exact < 1.0, 1.0))
    return torch.where(keep, scale_by(x, factor), 0.0)
