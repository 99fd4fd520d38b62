"""Any function as a schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dropkit.core import OptionError
from dropkit.random import Schedule


@dataclass(frozen=True)
class CallableSchedule(Schedule):
    """The rate that a function returns for a step. It works everywhere but cannot be saved with a plan.

    Args:
        function: From the step, counted from 0, to the rate, in ``[0, 1]``; it should depend on nothing else.

    Raises:
        OptionError: ``function`` cannot be called.
        RateError: Where it is used and returned no rate.
    """

    function: Callable[[int], float]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise OptionError(f"function must be callable with a step, got {self.function!r}")

    def at(self, step: int) -> float:
        """Return the rate at ``step``, counted from 0."""
        return self.function(step)
