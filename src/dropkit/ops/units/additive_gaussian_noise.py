"""Additive Gaussian noise: perturb each element by a normal variate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from dropkit.core import DtypeError, InputError, ShapeError
from dropkit.ops.kernels import noise
from dropkit.ops.reference import add_noise
from dropkit.random import mask_shape, next_key, skip_key


class DeviationError(InputError, ValueError):
    """A standard deviation is negative, not finite or no number."""


def check_deviation(deviation: float | Tensor) -> float | Tensor:
    """Return ``deviation`` as a float, or as it is if it is a floating-point tensor; else raise ``DeviationError``."""
    if isinstance(deviation, Tensor):
        if not deviation.is_floating_point():
            raise DeviationError(
                f"deviation must be a number of at least 0 or a floating-point tensor, got one of {deviation.dtype}"
            )
        return deviation
    if not isinstance(deviation, Real) or isinstance(deviation, bool):
        raise DeviationError(f"deviation must be a finite number of at least 0, got {deviation!r}")
    if not 0.0 <= deviation < math.inf:
        raise DeviationError(f"deviation must be a finite number of at least 0, got {deviation!r}")
    return float(deviation)


def additive_gaussian_noise(
    x: Tensor,
    deviation: float | Tensor,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Add ``deviation * z`` to each element, ``z`` standard normal.

    ``E[y] = x`` and ``Var[y] = deviation**2``, whatever ``x`` is. Gradients pass to ``x`` unchanged, and to a
    ``deviation`` that is a tensor by its factor ``z``.

    Args:
        x: Any shape, floating point. Never modified.
        deviation: Standard deviation of the noise, in the unit of ``x``, at least 0: a number, or a floating-point
            tensor that broadcasts over ``x``, whose values are not checked.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the noise's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; the sum is taken in fp64 and rounded to fp32, then to the dtype.

    Raises:
        DeviationError: ``deviation`` is negative, not finite or no number.
        ShapeError: A tensor of deviations does not broadcast to the shape of ``x``.
        DtypeError: ``x`` is not floating point.

    Reference:
        Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", Neural Computation 7 (1995), sec. 2,
        doi:10.1162/neco.1995.7.1.108. *Departures*: at any layer (there: on the input).
    """
    used = check_deviation(deviation)
    if not x.is_floating_point():
        raise DtypeError(f"additive_gaussian_noise needs a floating-point tensor, got {x.dtype}; cast it")
    if not training:
        return x
    if isinstance(used, Tensor):
        if not _fits(used.shape, x.shape):
            raise ShapeError(
                f"a tensor of deviations has to broadcast to the shape of x, {tuple(x.shape)}, got shape "
                f"{tuple(used.shape)}"
            )
    elif used == 0.0 or x.numel() == 0:
        skip_key(site, generator)
        return x
    shape = mask_shape(x.shape, site, generator)
    key = next_key(site, generator, x.device)
    if isinstance(used, float) and shape == x.shape and noise.can_take(x):
        return noise.added(x, used, key)
    return add_noise(x, used, key, shape)


def _fits(shape: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether ``shape`` broadcasts to ``sizes``."""
    return len(shape) <= len(sizes) and all(
        a in (1, b) for a, b in zip(reversed(shape), reversed(sizes), strict=False)
    )
