"""Rates that change with time: a function from the step of the active stream to a rate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from dropkit.core import StreamError, check_rate
from dropkit.random.stream import innermost

_numbers = count()
_alive: WeakValueDictionary[int, Schedule] = WeakValueDictionary()


class Schedule(ABC):
    """A rate as a function of the step that the innermost stream stands at.

    Subclasses hold plain numbers that never change, and define :meth:`at`. Anything that takes a ``rate`` takes a
    schedule: it is asked at every call, so ``dropkit.step()`` moves masks and rates together, and compiled code
    is not compiled again.
    """

    _number: int

    def __new__(cls, *args: Any, **kwargs: Any) -> Schedule:
        """Give every schedule the number by which compiled code finds it."""
        self = super().__new__(cls)
        object.__setattr__(self, "_number", next(_numbers))
        _alive[self._number] = self
        return self

    @abstractmethod
    def at(self, step: int) -> float:
        """Return the rate at ``step``, counted from 0; it is checked to be in ``[0, 1]``."""

    def now(self) -> float | Tensor:
        """Return the rate at the step of the innermost stream; in compiled code a 0-d fp64 tensor.

        Raises:
            StreamError: No stream is active, so nothing counts the steps.
            RateError: :meth:`at` returned something that is no rate.
        """
        stream = innermost()
        if stream is None:
            raise StreamError(
                f"the rate {self!r} depends on the step, and no stream counts steps here; wrap the loop in "
                "`with dropkit.random.stream(seed):` and call dropkit.step() after each optimiser step"
            )
        if torch.compiler.is_compiling():
            rate: Tensor = _rate_at_step(self._number, stream.traced_step())
            return rate
        return self.checked(stream.step)

    def checked(self, step: int) -> float:
        """Return :meth:`at`, or raise ``RateError`` naming this schedule and the step."""
        return check_rate(self.at(step), f"rate of {self!r} at step {step}")

    def __deepcopy__(self, memo: dict[int, Any]) -> Schedule:
        """Return itself: it never changes."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the number, which belongs to this object in this process."""
        return {name: value for name, value in self.__dict__.items() if name != "_number"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the numbers of the schedule that was pickled."""
        self.__dict__.update(state)


# Compiled code calls this as it runs, with the step as a tensor: a Python number would be a constant of the graph.
@torch.library.custom_op("dropkit::rate_at_step", mutates_args=())
def _rate_at_step(number: int, step: Tensor) -> Tensor:
    return torch.tensor(_alive[number].checked(int(step)), dtype=torch.float64)


@_rate_at_step.register_fake
def _(number: int, step: Tensor) -> Tensor:
    return torch.empty((), dtype=torch.float64)
