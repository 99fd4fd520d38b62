"""Modality dropout: drop whole inputs of a sample, such as its sound or its picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.core import OptionError, ShapeError
from dropkit.ops.draws import draw_keep, draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, select


def modality_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    sizes: Sequence[int] | None = None,
    at_least_one: bool = False,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero whole modalities of a sample; the others stay as they are.

    Modality ``m`` of sample ``n`` becomes 0 with probability ``rate``, so ``E[y] = x * (1 - rate)`` and
    ``Var[y] = x**2 * rate * (1 - rate)``. Nothing is rescaled, so that a modality looks in training as it does at
    prediction, when it is there or missing. With ``at_least_one`` a sample that would lose all ``M`` keeps one, each
    being equally likely: the probability of dropping is then ``rate - rate**M / M``.

    Args:
        x: Shape ``(N, M, *)``, floating point; or, with ``sizes``, ``(N, C, *)`` with the features of all modalities
            one after another. Never modified.
        rate: Probability (dimensionless, per sample and modality) of *dropping*, in ``[0, 1]``; a tensor of shape
            ``(M,)`` has one for each.
        training: If false, ``x`` itself is returned and no random number is drawn.
        sizes: How many of the ``C`` features belong to each modality, in order. None: one each.
        at_least_one: Whether every sample keeps a modality.
        generator: Source of the masks' keys. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped modalities are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has fewer than two axes, or its second does not have the sum of ``sizes`` features.
        OptionError: A size is not positive.
        DtypeError: ``x`` is not floating point.

    Reference:
        Neverova et al., "ModDrop: Adaptive Multi-Modal Gesture Recognition", IEEE TPAMI 38(8), 2016, sec. 4.3,
        arXiv:1501.00102. *Departures*: ``at_least_one``.
    """
    used = check_input("modality_dropout", x, rate, training=training)
    check_sizes(sizes)
    if x.ndim < 2:
        raise ShapeError(f"modality_dropout needs shape (N, M, *), got {tuple(x.shape)}")
    if sizes is not None and sum(sizes) != x.shape[1]:
        raise ShapeError(
            f"sizes {tuple(sizes)} need {sum(sizes)} features in the second axis, got {tuple(x.shape)}"
        )
    if not training:
        return x
    count = x.shape[1] if sizes is None else len(sizes)
    keep = draw_modalities(x.shape[0], count, used, x.device, at_least_one, generator=generator, site=site)
    if not isinstance(used, Tensor) and used == 0.0:
        return x
    if sizes is not None:
        owner = [modality for modality, size in enumerate(sizes) for _ in range(size)]
        keep = keep[:, torch.tensor(owner, device=x.device)]
    return select(x, keep.view(*keep.shape, *[1] * (x.ndim - 2)), 1.0)


def draw_modalities(
    rows: int,
    count: int,
    rate: float | Tensor,
    device: torch.device,
    at_least_one: bool,
    *,
    generator: torch.Generator | None,
    site: str | None,
) -> Tensor:
    """Return which of ``count`` modalities each of ``rows`` samples keeps, shape ``(rows, count)``."""
    keep = draw_keep((rows, count), rate, device, generator=generator, site=site)
    if not at_least_one:
        return keep
    second = None if site is None else f"{site}:at_least_one"
    place = draw_uniform((rows, 1), device, generator=generator, site=second)
    spared = torch.arange(count, device=device) == (place * count).floor()
    return keep | (spared & ~keep.any(1, keepdim=True))


def check_sizes(sizes: Sequence[int] | None) -> None:
    """Raise ``OptionError`` unless ``sizes`` is None or holds positive ints."""
    if sizes is None:
        return
    if not sizes or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sizes):
        raise OptionError(f"sizes must be positive ints, one for each modality, got {sizes!r}")
