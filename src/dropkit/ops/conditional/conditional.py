"""Conditional dropout: rates that were computed from the data, as hard or as relaxed masks."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.learned.relaxed import check_temperature, differentiable_rate, relaxed_drop
from dropkit.ops.rate import Rate


def conditional(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    relaxed: bool = False,
    temperature: float = 0.1,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Drop by rates of which there may be one a sample, a channel of a sample, or an element.

    The shape of ``rate`` says what one coin decides: axes are added at its end until it has as many as ``x``, and
    one coin of rate ``r`` covers what it broadcasts over. Hard masks zero that part with probability ``r`` and
    multiply it by ``1 / (1 - r)`` otherwise: mean ``x``, variance ``x**2 * r / (1 - r)``, given the rates. Relaxed
    ones have the law of :func:`dropkit.ops.concrete_dropout`, and gradients reach ``rate``.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Probabilities (dimensionless) of *dropping*, in ``[0, 1]``, shape ``(N,)``, ``(N, C)``, or any other
            that broadcasts over ``x`` with ones appended; a number or 0-d tensor: one coin an element.
        training: If false, ``x`` itself is returned and no random number is drawn.
        relaxed: Whether to relax the mask. A hard one is no differentiable function of ``rate``: no gradient.
        temperature: Of the relaxation (dimensionless), above 0.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: A rate is outside ``[0, 1]`` or NaN.
        ShapeError: ``rate`` does not broadcast over ``x``.
        OptionError: ``temperature`` is not positive.
        DtypeError: ``x`` is not floating point.

    Reference:
        The general form of Ba & Frey, "Adaptive dropout for training deep neural networks", NeurIPS 2013, sec. 3,
        where rates come from a network that is laid over the model. *Departures*: any network, and the relaxation
        of Gal, Hron & Kendall, arXiv:1705.07832, to train it.
    """
    check_temperature(temperature)
    used = differentiable_rate("conditional", x, rate, training=training)
    if not training:
        return x
    coins: tuple[int, ...] = tuple(x.shape)
    if isinstance(used, Tensor) and used.ndim > 0:
        used = used.view(*used.shape, *[1] * (x.ndim - used.ndim))
        coins = tuple(used.shape)
        if used.ndim != x.ndim or any(a not in (1, b) for a, b in zip(coins, x.shape, strict=True)):
            raise ShapeError(
                f"rates of shape {tuple(used.shape)} do not broadcast over an input of shape {tuple(x.shape)}"
            )
        coins = (len(x), *coins[1:])  # rows that share a rate have coins of their own
    if relaxed:
        return relaxed_drop(x, used, coins, temperature, generator=generator, site=site)
    hard = used.detach() if isinstance(used, Tensor) else used
    return drop(x, hard, coins, generator=generator, site=site)
