"""Shakeout: a linear layer that enhances or reverses the contribution of each input."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dropkit.core import OptionError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def shakeout(
    x: Tensor,
    rate: Rate,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strength: float = 0.1,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply by weights that are reversed in sign and size for dropped inputs and enhanced for the others.

    Input ``j`` of a sample meets the weights ``-c * sign(w_j)`` with probability ``rate``, else
    ``(w_j + c * rate * sign(w_j)) / (1 - rate)``, ``c`` the ``strength``. ``E[y] = W x + b`` and ``Var[y] = rate /
    (1 - rate) * sum_j x_j**2 * (|w_j| + c)**2`` over the weights that are not zero: penalties on ``w**2``,
    ``2 c |w|`` and ``c**2 * (w != 0)``, an L2, an L1 and an L0 norm. With ``c = 0`` it is dropout.

    Args:
        x: Shape ``(*, inputs)``, floating point. Never modified.
        rate: Probability (dimensionless, per input) of *reversing*, in ``[0, 1]``; a tensor broadcasts over ``x``.
        weight: Shape ``(outputs, inputs)``. No gradient passes its sign.
        bias: Shape ``(outputs,)``, or None.
        strength: ``c``, at least 0, in the unit of the weights.
        training: If false, ``W x + b`` is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Shape ``(*, outputs)``, dtype and device of ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        OptionError: ``strength`` is negative or not finite.
        DtypeError: ``x`` is not floating point.

    Reference:
        Kang, Li and Tao, "Shakeout: A New Regularized Deep Neural Network Training Scheme", AAAI 2016, and
        "Shakeout: A New Approach to Regularized Deep Neural Network Training", IEEE TPAMI 40 (2018),
        arXiv:1904.06593. *Departures*: the sign has no gradient (theirs: that of a tanh).
    """
    used = check_input("shakeout", x, rate, training=training)
    check_strength(strength)
    if not training:
        return F.linear(x, weight, bias)
    kept = drop(x, used, None, generator=generator, site=site)
    y = F.linear(kept, weight, bias)
    return y if strength == 0.0 else y + strength * F.linear(kept - x, weight.detach().sign())


def check_strength(strength: float) -> None:
    """Raise ``OptionError`` unless ``strength`` is a number of at least 0."""
    if not 0.0 <= strength < math.inf:
        raise OptionError(f"strength must be a finite number of at least 0, got {strength!r}")
