"""Weighted channel dropout: keep channels at random, the more active ones more often."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.draws import check_broadcast, draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, drop_all, select
from dropkit.random import skip_key

_ACTIVE = 1e300  # score of a channel that is not finite: as active as can be, and sums of it stay finite


def weighted_channel_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Keep a fixed share of each sample's channels, drawn without replacement in proportion to their activation.

    The score of a channel is the mean of ``|x|`` over its map. Of ``C`` channels ``k`` are kept, ``k`` one of the two
    whole numbers next to ``(1 - rate) * C``, drawn so that ``E[k] = (1 - rate) * C``: one by one, each with a
    probability proportional to its score among those left. Kept maps are multiplied by the sum of all scores
    over the sum of the kept ones, so that the mean of ``|x|`` over a sample does not change.

    Args:
        x: Shape ``(N, C, *)``, floating point, the output of an activation. Never modified.
        rate: Expected share (dimensionless, of a sample's channels) to *drop*, in ``[0, 1]``; a tensor broadcasts
            over ``(N, 1)``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the keys. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts the choice; that of the rounding is ``"<site>:rounding"``.

    Returns:
        Same shape, dtype and device as ``x``; dropped maps are exact zeros. Gradients pass the factor, too.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has fewer than three axes.
        DtypeError: ``x`` is not floating point.

    Reference:
        Hou and Wang, "Weighted Channel Dropout for Regularization of Deep Convolutional Neural Network", AAAI 2019,
        doi:10.1609/aaai.v33i01.33018425; the draw is that of Efraimidis and Spirakis, Inf. Process. Lett. 97 (2006).
        *Departures*: no second, unweighted random choice; scores of ``|x|`` (theirs: of the output of a ReLU,
        where it is the same); the number kept is rounded at random, so that the share is exact.
    """
    used = check_input("weighted_channel_dropout", x, rate, training=training)
    if x.ndim < 3:
        raise ShapeError(
            f"weighted_channel_dropout needs shape (N, C, *) with a spatial axis, got {tuple(x.shape)}"
        )
    if not training:
        return x
    rounding = None if site is None else f"{site}:rounding"
    samples, channels = x.shape[:2]
    if isinstance(used, Tensor):
        check_broadcast(used, (samples, 1))
    elif used in (0.0, 1.0) or x.numel() == 0:
        skip_key(site, generator)
        skip_key(rounding, generator)
        return x if used == 0.0 else drop_all(x)
    u = draw_uniform((samples, channels), x.device, generator=generator, site=site)
    v = draw_uniform((samples, 1), x.device, generator=generator, site=rounding)
    exact = torch.as_tensor(used, dtype=torch.float64, device=x.device)
    count = ((1.0 - exact) * channels + v).floor()
    wide = x.double() if x.dtype == torch.float64 else x.float()
    score = wide.abs().flatten(2).mean(2).double().nan_to_num(nan=_ACTIVE, posinf=_ACTIVE)
    arrival = -u.log() / score.detach()  # exponential clocks: the first to ring are the ones drawn
    keep = arrival.argsort(dim=1, stable=True).argsort(dim=1) < count
    kept = torch.where(keep, score, 0.0).sum(1, keepdim=True)
    positive = kept > 0.0
    scale = torch.where(positive, score.sum(1, keepdim=True) / torch.where(positive, kept, 1.0), 1.0)
    maps = (samples, channels, *[1] * (x.ndim - 2))
    return select(x, keep.view(maps), scale.expand(-1, channels).reshape(maps))
