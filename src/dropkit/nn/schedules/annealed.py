"""Annealed dropout: the rate falls to zero."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dropkit.core import Variant, check_rate, register
from dropkit.nn.schedules.checks import check_steps
from dropkit.nn.units.dropout import Dropout
from dropkit.random import Schedule


@dataclass(frozen=True)
class AnnealedSchedule(Schedule):
    """``max(0, 1 - step / steps) * rate``: dropout that fades out.

    Args:
        rate: Rate at step 0, in ``[0, 1]``.
        steps: Steps until it is 0, at least 1.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]``.
        OptionError: ``steps`` is below 1.

    Reference:
        Rennie, Goel and Thomas, "Annealed Dropout Training of Deep Networks", IEEE SLT 2014,
        doi:10.1109/SLT.2014.7078567, sec. 3.1, the linear schedule.
    """

    rate: float
    steps: int

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_steps("steps", self.steps)

    def at(self, step: int) -> float:
        """Return the rate at ``step``, counted from 0."""
        return max(0.0, 1.0 - step / self.steps) * self.rate


register(
    Variant(
        name="annealed",
        family="schedules",
        kind="schedule",
        op=None,
        module=None,
        paper='Rennie et al., "Annealed Dropout Training of Deep Networks", SLT 2014, doi:10.1109/SLT.2014.7078567',
        year=2014,
        law="rate(t) = max(0, 1 - t / steps) rate(0)",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (Dropout(AnnealedSchedule(0.5, 100)), torch.ones(8, 16)),
    )
)
