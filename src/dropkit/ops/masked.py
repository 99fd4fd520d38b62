"""One door to every op that keeps or drops: draws the key, and finds who computes.

Native kernels where they can run: in eager code through an autograd function, in compiled code through a
registered operator. Plain torch everywhere else, with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.ops import reference
from dropkit.ops.kernels import direct
from dropkit.ops.kernels import masked as native
from dropkit.ops.law import Law
from dropkit.random import given_mask, keep_mask, mask_shape, next_key
from dropkit.random.packed import without_rows
from dropkit.random.stream import innermost


def masked(
    x: Tensor,
    law: Law,
    shape: Sequence[int] | None,
    generator: torch.Generator | None,
    site: str | None,
    *,
    batched: bool = True,
) -> Tensor:
    """Return the output of ``law`` under a new mask.

    Args:
        x: Input, not empty.
        law: What to do, with a rate in ``(0, 1)``.
        shape: Shape of the mask, which broadcasts over ``x`` and has as many axes; None: that of ``x``.
        generator: Source of the mask's key, or None.
        site: Name under which an active stream counts this call.
        batched: Whether the first axis of the mask is the batch; see :func:`dropkit.ops.draws.draw_keep`.
    """
    if (current := innermost()) is not None and current.shared_axis is not None:
        shape = mask_shape(x.shape if shape is None else shape, site, generator, batched=batched)
        if (keep := given_mask(shape, law.rate, site, generator, x.device)) is not None:
            return reference.apply(x, law, keep)
    key = next_key(site, generator, x.device)
    if not batched:
        key = without_rows(key, site)
    if direct.can_take(x):
        return native.masked(x, law, shape, key)
    return reference.apply(x, law, keep_mask(x.shape if shape is None else shape, law.rate, key, x.device))
