"""Excitation dropout: drop the units that carried the evidence for the prediction."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, scale_by


def excitation_rates(rate: float | Tensor, evidence: Tensor) -> Tensor:
    """Return the probability with which each unit is dropped, float64.

    With ``e`` the share that a unit has of the evidence of its sample, of ``n`` units, it is
    ``rate * (n - 1) * e / ((rate * n - 1) * e + 1 - rate)``: 0 without evidence, ``rate`` at ``e = 1/n``, 1 at
    ``e = 1``.

    Args:
        rate: Base rate in ``[0, 1]``.
        evidence: Shape ``(N, *)``, at least 0. Only shares within a sample matter; none at all counts as uniform.
    """
    flat = evidence.detach().double().flatten(1)
    count = flat.shape[1]
    total = flat.sum(1, keepdim=True)
    share = torch.where(total > 0, flat / total.where(total > 0, 1.0), 1.0 / max(count, 1))
    base = torch.as_tensor(rate, dtype=torch.float64, device=flat.device)
    above = base * (count - 1) * share
    below = (base * count - 1.0) * share + 1.0 - base
    return torch.where(below > 0, above / below.where(below > 0, 1.0), base).clamp(0.0, 1.0).view_as(evidence)


def excitation_dropout(
    x: Tensor,
    rate: Rate,
    evidence: Tensor,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Drop each unit with a probability that grows with its share of the evidence for the prediction.

    A unit is zero with the probability ``r`` of :func:`dropkit.ops.plastic.excitation_dropout.excitation_rates`,
    which is ``rate`` where the evidence is spread evenly; the kept ones are divided by the sample's mean of
    ``1 - r``. So the mean over the units of the factor is 1, and units with much evidence are damped:
    ``E[y] = x * (1 - r) / mean(1 - r)``.

    Args:
        x: Shape ``(N, *)``, floating point. Never modified.
        rate: Base rate (dimensionless, per unit) of *dropping*, in ``[0, 1]``.
        evidence: Evidence of each unit, shape of ``x``, at least 0; such as a marginal winning probability. No
            gradient reaches it.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped units are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``evidence`` has another shape than ``x``, or ``x`` has no batch axis.
        DtypeError: ``x`` is not floating point.

    Reference:
        Zunino et al., "Excitation Dropout: Encouraging Plasticity in Deep Neural Networks", IJCV 129 (2021), eq. 3,
        arXiv:1805.09092. *Departures*: ``rate`` for ``1 - P``; kept units are divided by the expected share that is
        kept (theirs: the share kept this time).
    """
    used = check_input("excitation_dropout", x, rate, training=training)
    if x.ndim == 0 or evidence.shape != x.shape:
        raise ShapeError(
            f"excitation_dropout needs evidence of the shape of its input, (N, *), got {tuple(evidence.shape)} "
            f"for {tuple(x.shape)}"
        )
    if not training:
        return x
    rates = excitation_rates(used, evidence.to(x.device))
    kept = drop(x, rates, None, generator=generator, site=site, scaled=False)
    if x.numel() == 0:
        return kept
    share = (1.0 - rates).flatten(1).mean(1).view(-1, *[1] * (x.ndim - 1))
    return scale_by(kept, 1.0 / share.where(share > 0, 1.0))
