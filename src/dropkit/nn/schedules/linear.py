"""A rate that goes from one value to another on a straight line."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dropkit.core import Variant, check_rate, register
from dropkit.nn.schedules.checks import check_steps
from dropkit.nn.units.dropout import Dropout
from dropkit.random import Schedule


@dataclass(frozen=True)
class LinearSchedule(Schedule):
    """``start + (end - start) * step / steps``, and ``end`` from step ``steps`` on.

    Args:
        start: Rate at step 0, in ``[0, 1]``.
        end: Rate from step ``steps`` on, in ``[0, 1]``.
        steps: Length of the way, at least 1.

    Raises:
        RateError: A rate is outside ``[0, 1]``.
        OptionError: ``steps`` is below 1.

    Reference:
        Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018,
        arXiv:1707.07012, sec. 3.1 and appendix: linearly increased over the course of training.
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
        share = min(step / self.steps, 1.0)
        return (1.0 - share) * self.start + share * self.end


register(
    Variant(
        name="linear_schedule",
        family="schedules",
        kind="schedule",
        op=None,
        module=None,
        paper='Zoph et al., "Learning Transferable Architectures", CVPR 2018, arXiv:1707.07012',
        year=2018,
        law="rate(t) = start + (end - start) min(t / steps, 1)",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (Dropout(LinearSchedule(0.3, 0.6, 10)), torch.ones(8, 16)),
    )
)
