"""A rate that goes from one value to another along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from dropkit.core import Variant, check_rate, register
from dropkit.nn.schedules.checks import check_steps
from dropkit.nn.units.dropout import Dropout
from dropkit.random import Schedule


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """``end + (start - end) * (1 + cos(pi * step / steps)) / 2``, and ``end`` from step ``steps`` on.

    Args:
        start: Rate at step 0, in ``[0, 1]``.
        end: Rate from step ``steps`` on, in ``[0, 1]``.
        steps: Length of the way, at least 1.

    Raises:
        RateError: A rate is outside ``[0, 1]``.
        OptionError: ``steps`` is below 1.

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, arXiv:1608.03983,
        eq. (5), without restarts. *Departures*: for a rate (theirs: for the learning rate).
    """

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        check_rate(self.start, "start")
        check_rate(self.end, "end")
        check_steps("steps", self.steps)

    def at(self, step: int) -> float:
        """Return the rate at ``step``, counted from 0."""
        left = 0.5 * (1.0 + math.cos(math.pi * min(step / self.steps, 1.0)))
        return left * self.start + (1.0 - left) * self.end


register(
    Variant(
        name="cosine_schedule",
        family="schedules",
        kind="schedule",
        op=None,
        module=None,
        paper='Loshchilov and Hutter, "SGDR", ICLR 2017, arXiv:1608.03983',
        year=2017,
        law="rate(t) = end + (start - end) (1 + cos(pi min(t / steps, 1))) / 2",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (Dropout(CosineSchedule(0.3, 0.6, 10)), torch.ones(8, 16)),
    )
)
