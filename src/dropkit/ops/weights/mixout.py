"""Mixout: replace weights by those of the pretrained model."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dropkit.core import OptionError, ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input

Per = Literal["unit", "weight"]


def check_per(per: str) -> None:
    """Raise ``OptionError`` unless ``per`` is ``"unit"`` or ``"weight"``."""
    if per not in ("unit", "weight"):
        raise OptionError(f"per must be 'unit' or 'weight', got {per!r}")


def mixout(
    x: Tensor,
    rate: Rate,
    *,
    target: Tensor,
    training: bool,
    per: Per = "unit",
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Replace weights by those of ``target`` with probability ``rate``, and move the others to keep the mean.

    ``y = target`` with probability ``rate``, else ``target + (x - target) / (1 - rate)``; so ``E[y] = x`` and
    ``Var[y] = (x - target)**2 * rate / (1 - rate)``. All weights out of one
    input unit share a coin, so with ``target = 0`` it is dropout of the layer's input; with ``per="weight"`` each has a
    coin of its own, and it is :func:`drop_connect`.

    Args:
        x: Weights, shape ``(out, in, *)``, or any shape with fewer axes or with ``per="weight"``; floating point.
            Never modified.
        rate: Probability (dimensionless, per unit or weight) of *replacing*, in ``[0, 1]``.
        target: The pretrained weights, of the shape of ``x``; no gradient reaches them.
        training: If false, ``x`` itself is returned and no random number is drawn.
        per: ``"unit"`` or ``"weight"``: what has a coin.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; replaced weights are those of ``target``, bit for bit.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` is not floating point.
        ShapeError: ``target`` has another shape than ``x``.
        OptionError: ``per`` is neither word.
        StreamError: The stream has one member a row.

    Reference:
        Lee et al., "Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models", ICLR 2020,
        arXiv:1909.11299, sec. 3: ``(M x + (I - M) u - rate u) / (1 - rate)``, the same number written otherwise, with
        coins as in the authors' code; ``per="weight"`` is their mixconnect. *Departures*: the gradient is the
        derivative, ``M / (1 - rate)`` (their code: ``M``).
    """
    check_per(per)
    used = check_input("mixout", x, rate, training=training)
    if target.shape != x.shape:
        raise ShapeError(
            f"mixout needs a target of shape {tuple(x.shape)}, as the weights have, got {tuple(target.shape)}"
        )
    if not training:
        return x
    start = target.detach().to(x.dtype)
    coins = (1, x.shape[1], *[1] * (x.ndim - 2)) if per == "unit" and x.ndim > 1 else None
    moved = drop(x - start, used, coins, generator=generator, site=site, batched=False)
    return x if not isinstance(used, Tensor) and used == 0.0 else start + moved
