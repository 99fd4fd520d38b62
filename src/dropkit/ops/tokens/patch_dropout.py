"""PatchDropout: go on with a random subset of the tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import RateError
from dropkit.ops.draws import draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input
from dropkit.ops.tokens.token_dropout import check_spare
from dropkit.random import skip_key


def patch_dropout(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    spare: int = 1,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Remove a random subset of the tokens of each sequence: the rest is shorter, and quicker to compute.

    Of ``P = L - spare`` tokens ``round(rate * P)`` are removed, but never the last one; each subset of that size is
    equally likely, and the others keep their values and their order. So the mean over the tokens that are left is
    unbiased for the mean over all of them.

    Args:
        x: Embedded tokens with their positions added, shape ``(N, L, D)``, floating point. Never modified.
        rate: Share (dimensionless, of the tokens of a sequence) that is *removed*, in ``[0, 1]``: a number or a
            schedule, since it decides a shape.
        training: If false, ``x`` itself is returned and no random number is drawn.
        spare: Number of leading tokens, such as a class token, that are never removed.
        generator: Source of the key of the choice. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Shape ``(N, L - round(rate * P), D)``, the dtype and device of ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN; or its value cannot be known when the shape is decided.
        ShapeError: ``x`` has another rank.
        OptionError: ``spare`` is negative.
        DtypeError: ``x`` is not floating point.

    Reference:
        Liu et al., "PatchDropout: Economizing Vision Transformers Using Patch Dropout", WACV 2023, sec. 3,
        arXiv:2208.07220. *Departures*: the number removed is rounded (theirs: the number kept is rounded down), and
        what is kept stays in order.
    """
    used = check_input("patch_dropout", x, rate, 3, "(N, L, D)", training=training)
    check_spare(spare)
    if not training:
        return x
    if isinstance(used, Tensor):
        raise RateError(
            "patch_dropout needs a rate that is a number, which decides the length of the output, got a tensor; in "
            "compiled code a schedule is one, too"
        )
    patches = max(x.shape[1] - spare, 0)
    left = patches - round(used * patches)
    left = max(left, min(patches, 1))
    if left == patches:
        skip_key(site, generator)
        return x
    score = draw_uniform((x.shape[0], patches), x.device, generator=generator, site=site)
    chosen = score.argsort(stable=True, dim=1)[:, :left].sort(1).values + spare
    kept = x.gather(1, chosen.unsqueeze(-1).expand(-1, -1, x.shape[2]))
    return torch.cat((x[:, :spare], kept), 1) if spare else kept
