"""Zero by coins, rescale the rest: the body of every op that drops without looking at what it drops."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.ops.draws import draw_keep
from dropkit.ops.law import selecting
from dropkit.ops.masked import masked
from dropkit.ops.reference import drop_all, keep_scale, needs_bits, select


def drop(
    x: Tensor,
    rate: float | Tensor,
    coins: Sequence[int] | None,
    *,
    generator: torch.Generator | None,
    site: str | None,
    scaled: bool = True,
    batched: bool = True,
) -> Tensor:
    """Return ``x / (1 - rate)``, or exact zero with probability ``rate``.

    Args:
        x: Input, floating point; may be empty.
        rate: Probability of dropping in ``[0, 1]``, as ``check_input`` returned it: a float, or a tensor that
            broadcasts over the coins.
        coins: Shape of the mask, with as many axes as ``x`` and broadcasting over it; None: one coin an element.
        generator: Source of the mask's key. None: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.
        scaled: Whether kept values are divided by ``1 - rate``; at rate 1 nothing is kept, and nothing divided.
        batched: Whether the first axis of the mask is the batch; see :func:`dropkit.ops.draws.draw_keep`.
    """
    if isinstance(rate, Tensor):
        shape = x.shape if coins is None else coins
        keep = draw_keep(shape, rate, x.device, generator=generator, site=site, batched=batched)
        return select(x, keep, keep_scales(rate, x) if scaled else 1.0)
    if not needs_bits(x, rate, generator, site):
        return x if rate == 0.0 else drop_all(x)
    law = selecting(rate, keep_scale(rate) if scaled else 1.0)
    return masked(x, law, coins, generator, site, batched=batched)


def keep_scales(rate: Tensor, x: Tensor) -> Tensor:
    """Return ``1 / (1 - rate)`` in fp64 for a tensor of rates, and 1 at rate 1; see ``reference.keep_scale``."""
    exact = rate.to(x.device, torch.float64)
    return torch.where(exact < 1.0, 1.0 / (1.0 - exact), 1.0)


def scale_of(rate: float | Tensor, x: Tensor) -> float | Tensor:
    """Return what a kept value of ``x`` is multiplied by, for a rate of either kind."""
    return keep_scales(rate, x) if isinstance(rate, Tensor) else keep_scale(rate)
