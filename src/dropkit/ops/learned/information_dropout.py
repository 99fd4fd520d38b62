"""Information dropout: log-normal multiplicative noise whose strength may depend on the input."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import DtypeError, OptionError
from dropkit.ops.draws import draw_normal
from dropkit.ops.reference import scale_by
from dropkit.random.draw import can_branch_on_data


def information_dropout(
    x: Tensor,
    alpha: float | Tensor,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Multiply each element by ``exp(alpha * z)``, ``z`` standard normal.

    The factor is log-normal with median 1, so ``E[y] = x * exp(alpha**2 / 2)`` and
    ``Var[y] = x**2 * (exp(2 * alpha**2) - exp(alpha**2))``. Gradients reach ``alpha``.

    Args:
        x: Any shape, floating point, not negative in the paper. Never modified.
        alpha: Standard deviation (dimensionless) of the factor's logarithm, at least 0: a number, or a tensor that
            broadcasts over ``x``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the noise's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        OptionError: ``alpha`` is negative or NaN.
        DtypeError: ``x`` is not floating point.

    Reference:
        Achille & Soatto, "Information Dropout: Learning Optimal Representations Through Noisy Computation", TPAMI
        2018, sec. 4, arXiv:1611.01353.
    """
    if not x.is_floating_point():
        raise DtypeError(f"information_dropout needs a floating-point tensor, got {x.dtype}")
    _check(alpha)
    if not training:
        return x
    z = draw_normal(x.shape, x.device, generator=generator, site=site)
    return scale_by(x, (alpha * z).exp())


def _check(alpha: float | Tensor) -> None:
    if not isinstance(alpha, Tensor):
        if not alpha >= 0.0:
            raise OptionError(f"alpha must be at least 0, got {alpha!r}")
    elif can_branch_on_data(alpha.device) and not bool((alpha >= 0.0).all()):
        raise OptionError("alpha must be at least 0, got a tensor with other values")
