"""Word dropout: replace tokens by the unknown word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.core import DtypeError, OptionError
from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.random import Schedule


def word_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    unknown: int,
    spared: Sequence[int] = (),
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Replace the number of a token by that of the unknown word.

    Token ``x[n, l]`` becomes ``unknown`` with probability ``rate``, each by its own coin, unless it is one of
    ``spared``. What an embedding ``e`` makes of it then has the mean ``(1 - rate) * e(x) + rate * e(unknown)``.

    Args:
        x: Numbers of tokens, shape ``(N, *)``, of an integer dtype. Never modified.
        rate: Probability (dimensionless, per token) of *replacing*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        unknown: Number of the token that stands for an unknown word, at least 0.
        spared: Numbers of tokens that are never replaced, such as those of padding and of the beginning.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: ``x`` holds no whole numbers.
        OptionError: ``unknown`` or one of ``spared`` is no token's number.

    Reference:
        Bowman et al., "Generating Sentences from a Continuous Space", CoNLL 2016, sec. 3.1, arXiv:1511.06349.
        *Departures*: ``spared``.
    """
    used = resolve_rate(rate) if training or not isinstance(rate, Schedule) else 0.0
    check_tokens(unknown, spared)
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise DtypeError(
            f"word_dropout needs the numbers of tokens, a tensor of an integer dtype, got {x.dtype}; "
            "after the embedding use token_dropout"
        )
    if not training:
        return x
    keep = draw_keep(x.shape, used, x.device, generator=generator, site=site)
    if not isinstance(used, Tensor) and used == 0.0:
        return x
    for token in spared:
        keep = keep | (x == token)
    return torch.where(keep, x, unknown)


def check_tokens(unknown: int, spared: Sequence[int]) -> None:
    """Raise ``OptionError`` unless both options of word dropout hold numbers of tokens."""
    for name, token in [("unknown", unknown), *(("spared", token) for token in spared)]:
        if isinstance(token, bool) or not isinstance(token, int) or token < 0:
            raise OptionError(f"{name} must be a token's number, an int of at least 0, got {token!r}")
