"""DropConnect: drop single weights of a layer."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def drop_connect(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    copies: int | None = None,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero each weight with probability ``rate`` and rescale the others.

    ``E[y] = x`` and ``Var[y] = x**2 * rate / (1 - rate)`` an element, so a linear map ``y @ v`` keeps its mean and
    gets the variance ``(x**2 @ v**2) * rate / (1 - rate)``. Without ``copies`` one mask serves all rows of the
    batch, whatever the stream's ``sample``.

    Args:
        x: Weights, any shape, floating point. Never modified.
        rate: Probability (dimensionless, per weight) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        copies: Number of samples ``N >= 0``: return ``(N, *x.shape)``, one masked copy a sample. It takes ``N`` times
            the memory of the weights.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same dtype and device as ``x``, and without ``copies`` the same shape; dropped weights are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.
        ShapeError: ``copies`` is negative.
        StreamError: The stream has one member a row, and there are no ``copies``.

    Reference:
        Wan et al., "Regularization of Neural Networks using DropConnect", ICML 2013, sec. 3: ``r = a((M * W) v)`` with
        a mask ``M`` a sample. *Departures*: scaled while training, and the mean at test time (theirs: not scaled, and
        a sampled Gaussian approximation of the activations); biases are left alone (theirs: masked as well); one mask
        a call unless ``copies`` is given.
    """
    used = check_input("drop_connect", x, rate, training=training)
    if copies is not None and copies < 0:
        raise ShapeError(f"copies must be at least 0, got {copies}")
    if not training:
        return x
    if copies is None:
        return drop(x, used, None, generator=generator, site=site, batched=False)
    return drop(x.expand(copies, *x.shape), used, None, generator=generator, site=site)
