"""A schedule counted in epochs."""

from __future__ import annotations

from dataclasses import dataclass

from dropkit.core import OptionError
from dropkit.nn.schedules.checks import check_steps
from dropkit.random import Schedule


@dataclass(frozen=True)
class ByEpoch(Schedule):
    """Another schedule with epochs in the place of steps: its rate changes between epochs only.

    Args:
        schedule: Its ``at`` is asked with the number of complete epochs.
        steps_per_epoch: Optimiser steps an epoch, at least 1.

    Raises:
        OptionError: ``schedule`` is no schedule, or ``steps_per_epoch`` is below 1.
    """

    schedule: Schedule
    steps_per_epoch: int

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise OptionError(f"schedule must be a Schedule, got {self.schedule!r}")
        check_steps("steps_per_epoch", self.steps_per_epoch)

    def at(self, step: int) -> float:
        """Return the rate at ``step``, counted from 0."""
        return self.schedule.at(step // self.steps_per_epoch)
