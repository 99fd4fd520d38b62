"""How far a long prediction is: a line on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sized
from time import monotonic
from typing import Any, TypeVar

Batch = TypeVar("Batch")
Chunk = TypeVar("Chunk", bound=tuple[Any, Mapping[str, Sized]])
_PATIENCE = 2.0  # seconds that nobody needs to be told about
_PAUSE = 10.0  # seconds between two lines of a log


class Told:
    """Says how far a prediction is, once it takes more than two seconds.

    Args:
        total: Number of batches; None if that is not known.
        wanted: True: on a terminal one line that changes and goes away at the end, elsewhere a line every ten seconds;
            None: on a terminal only; False: never.
    """

    def __init__(self, total: int | None, wanted: bool | None) -> None:
        self._terminal = sys.stderr.isatty()
        self._quiet = wanted is False or (wanted is None and not self._terminal)
        self._total = total
        self._batches = self._width = 0
        self._started = self._last = 0.0

    def batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield ``batches``, counting those that are done."""
        if self._quiet:
            yield from batches
            return
        self._started = self._last = monotonic()
        try:
            for self._batches, batch in enumerate(batches):
                yield batch
        finally:
            if self._width:
                print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)

    def members(self, chunks: Iterable[Chunk], count: int) -> Iterator[Chunk]:
        """Yield the ``chunks`` of a batch's ``count`` members, and say how far it is after each."""
        done = 0
        for chunk in chunks:
            yield chunk
            done += len(next(iter(chunk[1].values())))
            if not self._quiet:
                self._say(done, count)

    def _say(self, members: int, count: int) -> None:
        now = monotonic()
        if now - self._started <= _PATIENCE or not (self._terminal or now - self._last >= _PAUSE):
            return
        text = self._line(members, count, now - self._started)
        print(
            f"\r{text:<{self._width}}" if self._terminal else text,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )
        self._last, self._width = now, len(text) if self._terminal else 0

    def _line(self, members: int, count: int, seconds: float) -> str:
        done = self._batches + members / count
        if self._total is None:
            return f"predict: {int(done)} batches, {seconds:.0f} s"
        what = (
            f"{members} of {count} members" if self._total == 1 else f"{int(done)} of {self._total} batches"
        )
        return f"predict: {what}, about {seconds * (self._total - done) / done:.0f} s left"


def length(loader: Any) -> int | None:
    """Return how many batches ``loader`` has, None where its dataset does not say; 1 for inputs that are none."""
    if loader is None:
        return 1
    try:
        return len(loader)
    except TypeError:
        return None
