"""DropDim: drop embedding dimensions for a whole sequence."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dropkit.core import OptionError
from dropkit.ops.drop import drop, scale_of
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, drop_all, needs_bits, select
from dropkit.ops.tokens.spans import draw_span

Choice = Literal["random", "span"]


def drop_dim(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    choice: Choice = "random",
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero dimensions of the embedding, the same ones for all tokens of a sequence, and rescale the others.

    Dimension ``x[n, :, d]`` becomes ``x[n, :, d] / (1 - rate)`` with probability ``1 - rate``, else 0, so ``E[y] = x``
    and ``Var[y] = x**2 * rate / (1 - rate)``. With ``choice="random"`` each dimension has its own coin; with
    ``"span"`` those dropped are neighbours, ``rate * D`` of them (a fraction is rounded up or down at random), the
    first dimension being the neighbour of the last, so that the probability is the same for each.

    Args:
        x: Embedded tokens, shape ``(N, L, D)``, floating point. Never modified.
        rate: Probability (dimensionless, per sequence and dimension) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        choice: Which dimensions are dropped together.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped dimensions are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has another rank.
        OptionError: ``choice`` is neither word.
        DtypeError: ``x`` is not floating point.

    Reference:
        Zhang et al., "DropDim: A Regularization Method for Transformer Networks", IEEE Signal Processing Letters 29,
        2022, sec. II, arXiv:2304.10321. *Departures*: spans go round the end; scaled by ``1 / (1 - rate)``.
    """
    used = check_input("drop_dim", x, rate, 3, "(N, L, D)", training=training)
    check_choice(choice)
    if not training:
        return x
    rows, _, size = x.shape
    if choice == "random":
        return drop(x, used, (rows, 1, size), generator=generator, site=site)
    if not isinstance(used, Tensor) and not needs_bits(x, used, generator, site):
        return x if used == 0.0 else drop_all(x)
    place, length = draw_span(rows, size, used, x.device, generator=generator, site=site)
    start = (place * size).floor().to(torch.int64)
    keep = (torch.arange(size, device=x.device) - start) % size >= length
    scale = scale_of(used, x)
    return select(
        x, keep.unsqueeze(1), scale.unsqueeze(-1) if isinstance(scale, Tensor) and scale.ndim else scale
    )


def check_choice(choice: str) -> None:
    """Raise ``OptionError`` unless ``choice`` is ``"random"`` or ``"span"``."""
    if choice not in ("random", "span"):
        raise OptionError(f"choice must be 'random' or 'span', got {choice!r}")
