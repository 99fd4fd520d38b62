"""Dropout: drop single elements, each by its own coin."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dropkit.core import InputError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, scale_by

Scaling = Literal["train", "test"]


class ScalingError(InputError, ValueError):
    """The place of the compensating factor is neither training nor test."""


def check_scaling(scaling: str) -> None:
    """Raise ``ScalingError`` unless ``scaling`` is ``"train"`` or ``"test"``."""
    if scaling not in ("train", "test"):
        raise ScalingError(f"scaling must be 'train' or 'test', got {scaling!r}")


def dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    scaling: Scaling = "train",
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero each element with probability ``rate``.

    With ``scaling="train"`` (inverted dropout) kept elements are multiplied by ``1 / (1 - rate)`` in training
    and nothing happens at test time: ``E[y] = x``, ``Var[y] = x**2 * rate / (1 - rate)``. With
    ``scaling="test"`` (the original) kept elements stay as they are in training, ``E[y] = x * (1 - rate)``,
    ``Var[y] = x**2 * rate * (1 - rate)``, and the output at test time is ``x * (1 - rate)``.

    Args:
        x: Any shape, floating point. Never modified.
        rate: Probability (dimensionless, per element) of *dropping*, in ``[0, 1]``.
        training: Whether to drop. If false no random number is drawn.
        scaling: When to compensate for the dropped elements.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.
        ScalingError: ``scaling`` is neither word.

    Reference:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15 (2014),
        sec. 4 and 10; Hinton et al., arXiv:1207.0580 (2012), for the scaling at test time.
        *Departures*: ``rate`` is the probability of dropping (theirs, p: of retaining).
    """
    check_scaling(scaling)
    used = check_input("dropout", x, rate, training=training or scaling == "test")
    if training:
        return drop(x, used, None, generator=generator, site=site, scaled=scaling == "train")
    if scaling == "train" or (isinstance(used, float) and used == 0.0):
        return x
    return scale_by(x, 1.0 - used)
