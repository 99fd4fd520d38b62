"""Measuring things side by side, so that what disturbs one disturbs all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

TURN_SECONDS = 0.02  # long enough for the clock, short enough for a disturbance to miss most turns

#: Does something so many times.
Loop = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Turns:
    """What some contestants took.

    Args:
        seconds: Median over the turns of the time of a call, by contestant.
        ratio: Median over the turns of (contestant / the first contestant in the same turn).
        repetitions: Turns.
    """

    seconds: dict[str, float]
    ratio: dict[str, float]
    repetitions: int


def repeated(call: Callable[[], Any]) -> Loop:
    """Return a loop over ``call``."""

    def loop(times: int) -> None:
        for _ in range(times):
            call()

    return loop


def take_turns(contestants: Mapping[str, Loop], *, repetitions: int, threads: int) -> Turns:
    """Measure ``contestants`` in turns; each turn begins with another of them.

    With one thread the clock is that of the thread's own work, which a busy machine does not stretch; with more it
    is the wall's.

    Args:
        contestants: Loops by name; the first is what the others are divided by.
        repetitions: Turns, ``>= 1``.
        threads: That torch uses now.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    calls = {name: _calls(loop) for name, loop in contestants.items()}
    names = list(contestants)
    base = names[0]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repetitions):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            loop, times = contestants[name], calls[name]
            begin = clock()
            loop(times)
            seconds[name].append((clock() - begin) / times)
    return Turns(
        {name: median(found) for name, found in seconds.items()},
        {
            name: median(own / other for own, other in zip(found, seconds[base], strict=True))
            for name, found in seconds.items()
        },
        repetitions,
    )


def _calls(loop: Loop) -> int:
    """Return how many calls fill a turn; the calls before warm it up."""
    loop(2)
    begin = time.perf_counter()
    loop(1)
    return max(1, int(TURN_SECONDS / (time.perf_counter() - begin)))
