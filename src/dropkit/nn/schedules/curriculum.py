"""Curriculum dropout: the rate grows from zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from dropkit.core import Variant, check_rate, register
from dropkit.nn.schedules.checks import check_positive
from dropkit.nn.units.dropout import Dropout
from dropkit.random import Schedule


@dataclass(frozen=True)
class CurriculumSchedule(Schedule):
    """``rate * (1 - exp(-gamma * step))``: the share of kept units falls exponentially from 1 to its final value.

    Args:
        rate: Rate in the end, in ``[0, 1]``.
        gamma: Speed, one over steps, above 0. The paper takes 10 over the number of steps of the training.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]``.
        OptionError: ``gamma`` is not above 0.

    Reference:
        Morerio et al., "Curriculum Dropout", ICCV 2017, arXiv:1703.06229, sec. 3:
        ``keep(t) = (1 - keep) exp(-gamma t) + keep``.
    """

    rate: float
    gamma: float

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_positive("gamma", self.gamma)

    def at(self, step: int) -> float:
        """Return the rate at ``step``, counted from 0."""
        return -self.rate * math.expm1(-self.gamma * step)


register(
    Variant(
        name="curriculum",
        family="schedules",
        kind="schedule",
        op=None,
        module=None,
        paper='Morerio et al., "Curriculum Dropout", ICCV 2017, arXiv:1703.06229',
        year=2017,
        law="rate(t) = rate (1 - exp(-gamma t))",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (Dropout(CurriculumSchedule(0.5, 0.1)), torch.ones(8, 16)),
    )
)
