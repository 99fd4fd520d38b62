"""Token dropout: zero whole tokens of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import OptionError, check_rate
from dropkit.ops.draws import draw_keep
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def token_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    spare: int = 0,
    untouched: float = 0.0,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero whole tokens and rescale the others.

    Token ``x[n, l]`` becomes ``x[n, l] / (1 - rate)`` with probability ``1 - rate``, else 0, so ``E[y] = x`` and
    ``Var[y] = x**2 * rate / (1 - rate)``. The first ``spare`` tokens stay as they are, and so do whole sequences
    with probability ``untouched``, by which the variance is smaller and the share of zeros ``rate * (1 - untouched)``.

    Args:
        x: Embedded tokens, shape ``(N, L, D)``, floating point. Never modified.
        rate: Probability (dimensionless, per token) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        spare: Number of leading tokens, such as a class token, that are never dropped.
        untouched: Probability (dimensionless, per sequence) of leaving a sequence as it is, in ``[0, 1]``.
        generator: Source of the masks' keys. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped tokens are exact zeros.

    Raises:
        RateError: ``rate`` or ``untouched`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has another rank.
        OptionError: ``spare`` is negative.
        DtypeError: ``x`` is not floating point.

    Reference:
        Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text Classification", ACL 2015, sec. 3
        ("word dropout"), doi:10.3115/v1/P15-1162; ``untouched`` is the first of the two stages of data dropout in Wu
        et al., "UniDrop", NAACL 2021, sec. 3.1, arXiv:2104.04946. *Departures*: the sequence keeps its length, and
        kept tokens are scaled by ``1 / (1 - rate)`` (Iyyer: by the number left; Wu: not at all).
    """
    used = check_input("token_dropout", x, rate, 3, "(N, L, D)", training=training)
    check_options(spare, untouched)
    if not training:
        return x
    rest = x if spare == 0 else x[:, spare:]
    y = drop(rest, used, (*rest.shape[:2], 1), generator=generator, site=site)
    if untouched > 0.0:
        second = None if site is None else f"{site}:untouched"
        touched = draw_keep((x.shape[0], 1, 1), untouched, x.device, generator=generator, site=second)
        y = y if y is rest else torch.where(touched, y, rest)
    if y is rest or spare == 0:
        return x if y is rest else y
    return torch.cat((x[:, :spare], y), 1)


def check_options(spare: int, untouched: float) -> None:
    """Raise ``OptionError`` or ``RateError`` unless both options of token dropout are legal."""
    check_rate(untouched, "untouched")
    check_spare(spare)


def check_spare(spare: int) -> None:
    """Raise ``OptionError`` unless ``spare`` is a number of tokens."""
    if isinstance(spare, bool) or not isinstance(spare, int) or spare < 0:
        raise OptionError(f"spare must be an int of at least 0, got {spare!r}")
