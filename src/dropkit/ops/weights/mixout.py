"""Mixout: replace weights by those of the pretrained model."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def mixout(
    x: Tensor,
    rate: Rate,
    *,
    target: Tensor,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Replace each weight by that of ``target`` with probability ``rate``, and move the others to keep the mean.

    ``y = target`` with probability ``rate``, else ``target + (x - target) / (1 - rate)``; so ``E[y] = x`` and
    ``Var[y] = (x - target)**2 * rate / (1 - rate)``. With ``target = 0`` it is :func:`drop_connect`.

    Args:
        x: Weights, any shape, floating point. Never modified.
        rate: Probability (dimensionless, per weight) of *replacing*, in ``[0, 1]``.
        target: The pretrained weights, of the shape of ``x``; no gradient reaches them.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; replaced weights are those of ``target``, bit for bit.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.
        ShapeError: ``target`` has another shape than ``x``.
        StreamError: The stream has one member a row.

    Reference:
        Lee et al., "Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models", ICLR 2020,
        arXiv:1909.11299, eq. (5): ``(M x + (I - M) u - rate u) / (1 - rate)``, the same number written otherwise.
    """
    used = check_input("mixout", x, rate, training=training)
    if target.shape != x.shape:
        raise ShapeError(
            f"mixout needs a target of shape {tuple(x.shape)}, as the weights have, got {tuple(target.shape)}"
        )
    if not training:
        return x
    start = target.detach().to(x.dtype)
    moved = drop(x - start, used, None, generator=generator, site=site, batched=False)
    return x if not isinstance(used, Tensor) and used == 0.0 else start + moved
