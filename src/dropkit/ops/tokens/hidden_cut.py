"""HiddenCut: cut a span of tokens out of the hidden representation."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, drop_all, needs_bits, select
from dropkit.ops.tokens.spans import draw_span

_TOP = 0.4  # share of the tokens, those with the highest scores, at which a span may begin


def hidden_cut(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    scores: Tensor | None = None,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero one contiguous span of tokens in each sequence; all others stay as they are.

    The span has ``rate * L`` tokens, a fraction being rounded up or down at random, so that the share of zeros is
    ``rate`` on average. Every place where it fits is equally likely; or, with ``scores``, it begins at one of the 40 %
    of tokens that have the highest, moved back where it would pass the end. Nothing is rescaled: ``E[y[n, l]] = x[n,
    l] * P(l not in the span)``, and tokens in the middle are cut more often than those at the ends.

    Args:
        x: Hidden states, shape ``(N, L, D)``, floating point. Never modified.
        rate: Share (dimensionless, of the tokens of a sequence) that is *dropped*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        scores: How much each token matters, shape ``(N, L)``, such as the attention that it gets, summed over heads
            and queries. None: all the same.
        generator: Source of the key of the span. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; cut tokens are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has another rank, or ``scores`` do not fit it.
        DtypeError: ``x`` is not floating point.

    Reference:
        Chen et al., "HiddenCut: Simple Data Augmentation for Natural Language Understanding with Better
        Generalizability", ACL 2021, arXiv:2106.00149, and their code for the 40 %. *Departures*: a span that would
        pass the end is moved (theirs: shortened); the scores are an argument.
    """
    used = check_input("hidden_cut", x, rate, 3, "(N, L, D)", training=training)
    if scores is not None and scores.shape != x.shape[:2]:
        raise ShapeError(f"scores must have shape {tuple(x.shape[:2])}, got {tuple(scores.shape)}")
    if not training:
        return x
    if not isinstance(used, Tensor) and not needs_bits(x, used, generator, site):
        return x if used == 0.0 else drop_all(x)
    rows, size, _ = x.shape
    place, length = draw_span(rows, size, used, x.device, generator=generator, site=site)
    if scores is None:
        start = (place * (size - length + 1)).floor().to(torch.int64)
    else:
        top = max(int(_TOP * size), 1)
        order = scores.argsort(stable=True, dim=1, descending=True)
        start = order.gather(1, (place * top).floor().to(torch.int64)).minimum(size - length)
    token = torch.arange(size, device=x.device)
    cut = (token >= start) & (token < start + length)
    return select(x, ~cut.unsqueeze(-1), 1.0)
