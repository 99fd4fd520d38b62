"""How far a long prediction is: a line on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any, TypeVar

Batch = TypeVar("Batch")
_PATIENCE = 2.0  # seconds that nobody needs to be told about
_PAUSE = 10.0  # seconds between two lines of a log


def told(batches: Iterable[Batch], total: int | None, wanted: bool | None) -> Iterator[Batch]:
    """Yield ``batches``; say how many are done, once that takes more than two seconds.

    Args:
        batches: What is worked through.
        total: How many there are, None if that is not known.
        wanted: True: on a terminal one line that changes and goes away at the end, elsewhere a line every ten seconds;
            None: on a terminal only; False: never.
    """
    terminal = sys.stderr.isatty()
    if wanted is False or (wanted is None and not terminal):
        yield from batches
        return
    started = last = monotonic()
    width = 0
    try:
        for done, batch in enumerate(batches):
            now = monotonic()
            if now - started > _PATIENCE and done and (terminal or now - last >= _PAUSE):
                text = _line(done, total, now - started)
                print(
                    f"\r{text:<{width}}" if terminal else text,
                    end="" if terminal else "\n",
                    file=sys.stderr,
                    flush=True,
                )
                last, width = now, len(text)
            yield batch
    finally:
        if terminal and width:
            print(f"\r{'':<{width}}\r", end="", file=sys.stderr, flush=True)


def length(loader: Any) -> int | None:
    """Return how many batches ``loader`` has, None where its dataset does not say."""
    try:
        return len(loader)
    except TypeError:
        return None


def _line(done: int, total: int | None, seconds: float) -> str:
    if total is None:
        return f"predict: {done} batches, {seconds:.0f} s"
    return f"predict: {done} of {total} batches, about {seconds * (total - done) / done:.0f} s left"
