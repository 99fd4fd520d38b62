"""Drop-Activation: a ReLU that is replaced by the identity at random."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, scale_by


def drop_activation(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Apply a ReLU to each element, or with probability ``rate`` nothing.

    ``E[y] = (1 - rate) * relu(x) + rate * x``, which is what is returned outside training: a leaky ReLU of slope
    ``rate``. ``Var[y] = x**2 * rate * (1 - rate)`` for negative ``x``, else 0.

    Args:
        x: Any shape, floating point, before its activation. Never modified.
        rate: Probability (dimensionless, per element) of *dropping the activation function*, in ``[0, 1]``.
        training: If false, the mean is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.

    Reference:
        Liang, Khoo and Yang, "Drop-Activation: Implicit Parameter Reduction and Harmonious Regularization",
        arXiv:1811.05850 (2018). *Departures*: ``rate`` is the probability of dropping (theirs, p: of retaining).
    """
    used = check_input("drop_activation", x, rate)
    activated = torch.relu(x)
    if training:
        keep = draw_keep(x.shape, used, x.device, generator=generator, site=site)
        return torch.where(keep, activated, x)
    if isinstance(used, float):
        return activated if used == 0.0 else torch.where(x > 0, x, x * used)
    leaked = torch.where(used.to(x.device) > 0.0, scale_by(x, used), activated)  # 0 * -inf would be NaN
    return torch.where(x > 0, x, leaked)
