"""Swapout: dropout on both terms of a residual sum."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def swapout(
    x: Tensor,
    rate: Rate,
    *,
    branch: Tensor,
    training: bool,
    branch_rate: Rate | None = None,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Return ``x + branch`` with elements of each term dropped by coins of their own, and the others rescaled.

    ``y = A * x / (1 - rate) + B * branch / (1 - branch_rate)`` with independent Bernoulli ``A`` and ``B`` an element,
    so ``E[y] = x + branch`` and ``Var[y] = x**2 * rate / (1 - rate) + branch**2 * branch_rate / (1 - branch_rate)``.
    An element is one of four: ``x``, ``branch``, both, or neither.

    Args:
        x: Input of the residual block, any shape, floating point. Never modified.
        rate: Probability (dimensionless, per element of ``x``) of *dropping*, in ``[0, 1]``.
        branch: Output of the block's branch, of the shape of ``x``.
        training: If false, ``x + branch`` is returned and no random number is drawn.
        branch_rate: Probability of dropping an element of ``branch``; None: ``rate``.
        generator: Source of the masks' keys, drawn from twice. Default: the active stream, else PyTorch's generator.
        site: Name under which an active stream counts this call, and ``"<site>:branch"`` another one.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: A rate is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` or ``branch`` is not floating point.
        ShapeError: ``branch`` has another shape than ``x``.

    Reference:
        Singh et al., "Swapout: Learning an Ensemble of Deep Architectures", NeurIPS 2016, arXiv:1605.06465, eq. (4).
        *Departures*: scaled while training, so that eval mode is the plain sum (theirs: means at test time).
    """
    used = check_input("swapout", x, rate, training=training)
    other = check_input("swapout", branch, rate if branch_rate is None else branch_rate, training=training)
    if branch.shape != x.shape:
        raise ShapeError(
            f"swapout needs two tensors of one shape, got {tuple(x.shape)} and {tuple(branch.shape)}"
        )
    if not training:
        return x + branch
    second = None if site is None else f"{site}:branch"
    kept = drop(x, used, None, generator=generator, site=site)
    return kept + drop(branch, other, None, generator=generator, site=second)
