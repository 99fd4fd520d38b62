"""DropBlock: drop contiguous blocks of feature maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from dropkit.core import OptionError
from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, drop_all, select
from dropkit.random import skip_key

_ROUNDS = 12  # Newton steps; eight leave an error below 1e-15 even for blocks of half a large map


def drop_block1d(
    x: Tensor,
    rate: Rate,
    *,
    block_size: int = 7,
    share_channels: bool = False,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero contiguous stretches of the channels of a sequence; see :func:`drop_block2d`.

    Args:
        x: Shape ``(N, C, L)``, floating point. Never modified.
        rate: Expected share (dimensionless, of the elements of a channel) to *drop*, in ``[0, 1]``.
        block_size: Length of a stretch, at least 1; a shorter sequence is dropped as a whole.
        share_channels: Whether the channels of a sample share one mask.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.
    """
    return _drop_block(
        "drop_block1d", x, rate, block_size, share_channels, training, generator, site, 3, "(N, C, L)"
    )


def drop_block2d(
    x: Tensor,
    rate: Rate,
    *,
    block_size: int = 7,
    share_channels: bool = False,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero square blocks of feature maps, so that a share ``rate`` of the elements is dropped in expectation.

    In each map of each sample every block that lies inside the map is dropped with probability ``g``,
    independently; an element is dropped if any block over it is. With ``c_i`` blocks over element ``i``,
    ``P(dropped) = 1 - (1 - g)**c_i``, and ``g`` is solved for so that the mean of this over the map is ``rate``
    exactly, overlaps and borders included: the middle is dropped more often than the border. Kept elements of sample
    ``n`` are multiplied by ``elements / kept elements`` of that sample, or by 1 where nothing is kept.

    Args:
        x: Shape ``(N, C, H, W)``, floating point. Never modified.
        rate: Expected share (dimensionless, of the elements of a map) to *drop*, in ``[0, 1]``; a tensor broadcasts
            over ``(N, C, 1, 1)``.
        block_size: Edge of a block in elements, at least 1; an axis of the map that is shorter is covered whole.
        share_channels: Whether the maps of a sample share one mask.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped elements are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has another rank.
        OptionError: ``block_size`` is not a whole number of at least 1.
        DtypeError: ``x`` is not floating point.

    Reference:
        Ghiasi, Lin and Le, "DropBlock: A regularization method for convolutional networks", NeurIPS 2018,
        arXiv:1810.12890, algorithm 1. *Departures*: ``g`` is exact (theirs, eq. 1: to first order, without
        overlaps); the rescale is by sample (theirs: over the batch, which couples the samples). A mask for each map
        is what their experiments favour.
    """
    return _drop_block(
        "drop_block2d", x, rate, block_size, share_channels, training, generator, site, 4, "(N, C, H, W)"
    )


def drop_block3d(
    x: Tensor,
    rate: Rate,
    *,
    block_size: int = 7,
    share_channels: bool = False,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero cubic blocks of the channels of a volume; see :func:`drop_block2d`.

    Args:
        x: Shape ``(N, C, D, H, W)``, floating point. Never modified.
        rate: Expected share (dimensionless, of the elements of a channel) to *drop*, in ``[0, 1]``.
        block_size: Edge of a block in elements, at least 1; an axis of the volume that is shorter is covered whole.
        share_channels: Whether the channels of a sample share one mask.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.
    """
    return _drop_block(
        "drop_block3d", x, rate, block_size, share_channels, training, generator, site, 5, "(N, C, D, H, W)"
    )


def check_block_size(block_size: int) -> None:
    """Raise ``OptionError`` unless ``block_size`` is a whole number of at least 1."""
    if not isinstance(block_size, int) or isinstance(block_size, bool) or block_size < 1:
        raise OptionError(f"block_size must be a whole number of at least 1, got {block_size!r}")


def block_rate(rate: float | Tensor, sizes: Sequence[int], block_size: int) -> float | Tensor:
    """Return the probability of dropping a block at which an element is dropped with ``rate`` on average.

    Args:
        rate: Wanted share, in ``[0, 1]``.
        sizes: Spatial shape of the map.
        block_size: Edge of a block, cut to the shorter of the map's.
    """
    if isinstance(rate, float) and not torch.compiler.is_compiling():
        return _remembered(rate, tuple(sizes), block_size)
    return _solved(torch.as_tensor(rate, dtype=torch.float64), sizes, block_size)


def _drop_block(
    name: str,
    x: Tensor,
    rate: Rate,
    block_size: int,
    share_channels: bool,
    training: bool,
    generator: torch.Generator | None,
    site: str | None,
    ndim: int,
    layout: str,
) -> Tensor:
    check_block_size(block_size)
    used = check_input(name, x, rate, ndim, layout, training=training)
    if not training:
        return x
    if x.numel() == 0 or (isinstance(used, float) and used in (0.0, 1.0)):
        skip_key(site, generator)
        return drop_all(x) if isinstance(used, float) and used == 1.0 else x
    sizes = x.shape[2:]
    starts = [max(size - block_size, 0) + 1 for size in sizes]
    seed_rate = block_rate(used, sizes, block_size)
    maps = (x.shape[0], 1 if share_channels else x.shape[1])
    keep = draw_keep((*maps, *starts), seed_rate, x.device, generator=generator, site=site)
    keep = ~_grown(~keep, sizes)
    kept = keep.flatten(1).sum(1, dtype=torch.float64)
    scale = torch.where(kept > 0.0, keep[0].numel() / kept, 1.0)
    return select(x, keep, scale.view(-1, *[1] * (ndim - 1)))


def _grown(starts: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return which elements lie under a block, from which blocks are dropped, told by their first elements."""
    for axis, size in enumerate(sizes, start=2):
        block = size - starts.shape[axis] + 1
        last = starts.ndim - 1 - axis
        covered = F.pad(starts, (0, 0) * last + (0, block - 1))
        width = 1
        while width < block:  # doubles the width that each first element covers
            step = min(width, block - width)
            shifted = F.pad(covered.narrow(axis, 0, size - step), (0, 0) * last + (step, 0))
            covered, width = covered | shifted, width + step
        starts = covered
    return starts


def _coverage(size: int, block_size: int) -> dict[int, int]:
    """Return, along one axis, how many elements lie under how many blocks."""
    block = min(block_size, size)
    most = min(block, size - block + 1)
    return dict.fromkeys(range(1, most), 2) | {most: size - 2 * (most - 1)}


@lru_cache(maxsize=1024)
def _remembered(rate: float, sizes: tuple[int, ...], block_size: int) -> float:
    return _solved(torch.tensor(rate, dtype=torch.float64), sizes, block_size).item()


def _solved(rate: Tensor, sizes: Sequence[int], block_size: int) -> Tensor:
    # With s = log(1 - g) the share kept is sum_k w_k exp(c_k s). Its logarithm is convex and increasing in s, and the
    # start, exact if all elements lie under the most blocks, is above the root: Newton comes down monotonically.
    elements = {1: 1}  # blocks over an element -> number of such elements
    for size in sizes:
        grown: dict[int, int] = {}
        for count, number in elements.items():
            for blocks, times in _coverage(size, block_size).items():
                grown[count * blocks] = grown.get(count * blocks, 0) + number * times
        elements = grown
    counts = torch.tensor(list(elements), dtype=torch.float64, device=rate.device)
    weights = torch.tensor(list(elements.values()), dtype=torch.float64, device=rate.device) / math.prod(
        sizes
    )
    wanted = torch.log1p(-rate.double()).unsqueeze(-1).clamp_min(-700.0)
    s = wanted / max(elements)
    for _ in range(_ROUNDS):
        terms = counts * s + weights.log()
        error = terms.logsumexp(-1, keepdim=True) - wanted
        s = s - error / (terms.softmax(-1) * counts).sum(-1, keepdim=True)
    return torch.where(rate < 1.0, -torch.expm1(s.squeeze(-1)), 1.0).clamp(0.0, 1.0)
