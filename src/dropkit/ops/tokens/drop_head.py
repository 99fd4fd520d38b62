"""DropHead: drop whole attention heads."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import OptionError, ShapeError
from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, drop_all, needs_bits, select


def drop_head(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    heads: int | None = None,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero whole attention heads, and rescale the others by how many are left.

    Of the ``H`` heads of a sample each is dropped with probability ``rate``. If ``k > 0`` are left, head ``h`` of
    them becomes ``x[:, h] * H / k``; if none is left, the output is zero. So ``E[y] = x * (1 - rate**H)``, and given
    ``k > 0``, ``Var[y] = x**2 * (H / k - 1)``.

    Args:
        x: Output of each head, shape ``(N, H, *)``; with ``heads`` the heads side by side, shape
            ``(N, *, H * D)``, as they stand before the output projection. Floating point. Never modified.
        rate: Probability (dimensionless, per sample and head) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        heads: Number of heads that the last axis holds one after another. None: the second axis counts heads.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped heads are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has fewer than two axes, or its last does not hold ``heads`` equal heads.
        OptionError: ``heads`` is not positive.
        DtypeError: ``x`` is not floating point.

    Reference:
        Zhou et al., "Scheduled DropHead: A Regularization Method for Transformer Models", Findings of EMNLP 2020, sec.
        3.1, arXiv:2004.13342; a schedule as ``rate`` gives the V-shaped curve of sec. 3.2. *Departures*: that no head
        is left is allowed, so that the share of heads dropped is ``rate``.
    """
    used = check_input("drop_head", x, rate, training=training)
    check_heads(heads)
    _check(x, heads)
    if not training:
        return x
    split = x if heads is None else x.view(*x.shape[:-1], heads, x.shape[-1] // heads)
    if not isinstance(used, Tensor) and not needs_bits(x, used, generator, site):
        return x if used == 0.0 else drop_all(x)
    count = split.shape[1] if heads is None else heads
    keep = draw_keep((x.shape[0], count), used, x.device, generator=generator, site=site)
    scale = count / keep.sum(1, keepdim=True, dtype=torch.float64).clamp(min=1.0)
    ones = [1] * (split.ndim - 2)
    shape = (x.shape[0], count, *ones) if heads is None else (x.shape[0], *ones[1:], count, 1)
    y = select(split, keep.view(shape), scale.view(x.shape[0], 1, *ones))
    return y if heads is None else y.flatten(-2)


def _check(x: Tensor, heads: int | None) -> None:
    if x.ndim < 2:
        layout = "(N, H, *)" if heads is None else "(N, *, H * D)"
        raise ShapeError(f"drop_head needs shape {layout}, got {tuple(x.shape)}")
    if heads is not None and x.shape[-1] % heads:
        raise ShapeError(
            f"drop_head needs a last axis that holds {heads} equal heads, got shape {tuple(x.shape)}"
        )


def check_heads(heads: int | None) -> None:
    """Raise ``OptionError`` unless ``heads`` is None or a positive int."""
    if heads is not None and (isinstance(heads, bool) or not isinstance(heads, int) or heads < 1):
        raise OptionError(f"heads must be a positive int or None, got {heads!r}")
