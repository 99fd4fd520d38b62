"""Concrete dropout: a relaxed mask whose rate can be learned by gradient descent."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.ops.learned.relaxed import check_temperature, differentiable_rate, relaxed_drop
from dropkit.ops.rate import Rate


def concrete_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    temperature: float = 0.1,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply each element by a relaxed keep mask over ``1 - rate``, differentiable in the rate.

    ``y = x * (1 - z) / (1 - rate)``, ``z = sigmoid((logit(rate) + logit(u)) / temperature)``, ``u`` uniform. So
    ``P(z > 1/2) = rate`` exactly, and as the temperature goes to 0 the law goes to that of dropout: mean ``x``,
    variance ``x**2 * rate / (1 - rate)``. At a temperature above 0 few elements are exactly zero.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Probability (dimensionless, per element) of *dropping*, in ``[0, 1]``. Gradients reach a tensor.
        training: If false, ``x`` itself is returned and no random number is drawn.
        temperature: Of the relaxation (dimensionless), above 0. Lower is nearer to a hard mask, with gradients of
            higher variance.
        generator: Source of the noise's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        OptionError: ``temperature`` is not positive.
        DtypeError: ``x`` is not floating point.

    Reference:
        Gal, Hron & Kendall, "Concrete Dropout", NeurIPS 2017, sec. 3.2, arXiv:1705.07832. *Departures*: none; the
        logits are exact, where the authors' code adds 1e-7 within each logarithm.
    """
    check_temperature(temperature)
    used = differentiable_rate("concrete_dropout", x, rate, training=training)
    if not training:
        return x
    return relaxed_drop(x, used, x.shape, temperature, generator=generator, site=site)


def concrete_dropout1d(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    temperature: float = 0.1,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply each channel of a sequence by a relaxed keep mask; see :func:`concrete_dropout2d`.

    ``x`` has shape ``(N, C, L)``.
    """
    check_temperature(temperature)
    used = differentiable_rate("concrete_dropout1d", x, rate, 3, "(N, C, L)", training=training)
    return _channels(x, used, temperature, generator, site) if training else x


def concrete_dropout2d(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    temperature: float = 0.1,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply each feature map of a sample by a relaxed keep mask over ``1 - rate``.

    The law is that of :func:`concrete_dropout`, with one ``u`` a sample and channel.

    Args:
        x: Feature maps, shape ``(N, C, H, W)``, floating point. Never modified.
        rate: Probability (dimensionless, per channel) of *dropping*, in ``[0, 1]``. Gradients reach a tensor; one
            rate a channel has shape ``(C, 1, 1)``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        temperature: Of the relaxation (dimensionless), above 0.
        generator: Source of the noise's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has not four axes.
        OptionError: ``temperature`` is not positive.
        DtypeError: ``x`` is not floating point.

    Reference:
        Gal, Hron & Kendall, "Concrete Dropout", NeurIPS 2017, sec. 3.2 and 5, arXiv:1705.07832. *Departures*: the
        temperature of the paper, 0.1 (2/3 in the authors' code for maps).
    """
    check_temperature(temperature)
    used = differentiable_rate("concrete_dropout2d", x, rate, 4, "(N, C, H, W)", training=training)
    return _channels(x, used, temperature, generator, site) if training else x


def concrete_dropout3d(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    temperature: float = 0.1,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply each channel of a volume by a relaxed keep mask; see :func:`concrete_dropout2d`.

    ``x`` has shape ``(N, C, D, H, W)``.
    """
    check_temperature(temperature)
    used = differentiable_rate("concrete_dropout3d", x, rate, 5, "(N, C, D, H, W)", training=training)
    return _channels(x, used, temperature, generator, site) if training else x


def _channels(
    x: Tensor,
    rate: float | Tensor,
    temperature: float,
    generator: torch.Generator | None,
    site: str | None,
) -> Tensor:
    coins = (*x.shape[:2], *[1] * (x.ndim - 2))
    return relaxed_drop(x, rate, coins, temperature, generator=generator, site=site)
