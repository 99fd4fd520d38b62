"""Scheduled drop path: drop path whose rate grows over the training."""

from __future__ import annotations

import torch

from dropkit.core import Variant, check_rate, register
from dropkit.nn.paths.drop_path import DropPath
from dropkit.nn.schedules.linear import LinearSchedule


class ScheduledDropPath(DropPath):
    """:class:`dropkit.nn.DropPath` with the rate ``rate * depth * min(step / steps, 1)``.

    It needs an active stream in training, which says what the step is. Its ``rate`` is the schedule; another may be
    set at any time.

    Args:
        rate: Rate of the last layer at the end of training, in ``[0, 1]``.
        steps: Optimiser steps until it is reached, at least 1.
        depth: Where the layer stands, from 0 to 1 for the last: number of the layer over the number of layers.
        site: Name under which an active stream counts its calls.

    Raises:
        RateError: ``rate`` or ``depth`` is outside ``[0, 1]``.
        OptionError: ``steps`` is below 1.

    Reference:
        Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018,
        arXiv:1707.07012, appendix A.4, ScheduledDropPath; ``depth`` is in the authors' code.
    """

    def __init__(self, rate: float, steps: int, depth: float = 1.0, *, site: str | None = None) -> None:
        final = check_rate(rate) * check_rate(depth, "depth")
        super().__init__(LinearSchedule(0.0, final, steps), site=site)


register(
    Variant(
        name="scheduled_drop_path",
        family="depth and paths",
        kind="module",
        op=None,
        module=ScheduledDropPath,
        paper='Zoph et al., "Learning Transferable Architectures", CVPR 2018, arXiv:1707.07012',
        year=2018,
        law="drop path with the rate(t) = rate depth min(t / steps, 1)",
        at=("residual",),
        default_rate=0.3,
        samples=True,
        example=lambda: (ScheduledDropPath(0.3, 100), torch.ones(64, 4)),
    )
)
