"""Which mode, and how many members at once: found by trying, on members that all count."""

from __future__ import annotations

from typing import NamedTuple

from dropkit.infer.prediction import Mode

_MOSTLY = 0.75  # of the work, if done before the first site: members under vmap cost next to nothing
_PARTLY = 0.3  # of the work, from which vmap is tried, which does that once, and not a larger batch
_HOPELESS = 1.5  # times the best time a member, at which the first chunk of a mode is its last
_BETTER = 0.95  # times the best time, which a larger chunk has to reach, or is the last
_ALL = 1 << 62
_CACHE = (
    1 << 22
)  # bytes that a CPU has at hand: larger batches of a member that takes more only cost memory traffic
_MANY = 8  # members that fit in there together: most of their time is overhead, which a chunk has once


class _Trial(NamedTuple):
    """A mode to try: a chunk of ``first`` members, then twice as many each time; at most ``chunks`` of them."""

    mode: Mode
    first: int
    chunks: int = 64


class Pace:
    """The mode and the size of the next chunk of members.

    Without a mode, two members run by themselves, then those of a batched mode, in chunks of twice the size each time
    until that does not pay any more, then the rest in the way that was the fastest. Where a member takes little memory
    the first chunk is as many as fit in the cache; where it takes much, members run by themselves, unless a good part
    of the work is done before the model is random: ``vmap`` does that once. Where nearly all is, all members run under
    ``vmap`` at once. A mode that was asked for is kept, and the size of its chunks is found likewise.

    Args:
        mode: The mode, or None.
        before: Share of the model's work that is done before its first site.
        needed: Bytes that a member takes.
        can_expand: Whether the batch is at axis 0.
        on_cpu: Whether the model is on a CPU; elsewhere a larger batch is always worth trying.
    """

    def __init__(
        self, mode: Mode | None, before: float, needed: int, *, can_expand: bool, on_cpu: bool = True
    ) -> None:
        start = max(1, _CACHE // max(needed, 1))
        self._alone = min(start, _MANY)  # members between two looks at what was computed
        self._trials = _trials(mode, before, start, can_expand, try_all=not on_cpu or needed <= _CACHE)
        self._asked = mode is not None
        self._chunks = 0  # of the trial so far
        self._best: tuple[float, Mode, int] | None = None  # seconds a member, mode, size

    def next(self, largest: int, left: int) -> tuple[Mode, int]:
        """Return the mode and the size of the next chunk, which is at most ``largest`` and ``left``."""
        mode: Mode
        if self._trials:
            mode, first, _ = self._trials[0]
            size = first if mode == "loop" else first << self._chunks
        else:
            _, mode, size = self._best or (0.0, "loop", 1)
            size = self._alone if mode == "loop" else size
        return mode, min(size, largest, left)

    def took(self, size: int, seconds: float) -> None:
        """Note that the chunk, of ``size`` members, took so long."""
        if not self._trials:
            return
        mode, _, chunks = self._trials[0]
        each = seconds / size
        best = self._best
        self._chunks += 1
        larger = self._chunks > 1 and mode != "loop"
        if best is None or each < best[0] * (_BETTER if larger else 1.0):
            self._best = each, mode, size
        limit = _BETTER if larger and size > 2 else _HOPELESS
        if self._chunks == chunks or (best is not None and each > limit * best[0]):
            # a batched mode that works is enough: a second one would cost more than it could save
            self._trials = self._trials[1:] if mode == "loop" else []
            self._chunks = 0

    def refused(self) -> bool:
        """Note that the model does not run in the mode of the last chunk; return whether there is another to try."""
        if self._asked:
            return False
        if (
            not self._trials and self._best is not None and self._best[1] != "loop"
        ):  # a batch unlike those before
            self._best = 0.0, "loop", 1
            return True
        if not self._trials or self._trials[0].mode == "loop":
            return False
        del self._trials[0]
        self._chunks = 0
        return True


def _trials(mode: Mode | None, before: float, start: int, can_expand: bool, try_all: bool) -> list[_Trial]:
    at_once = _Trial("vmap", _ALL, 1)
    vmap = at_once if before >= _MOSTLY else _Trial("vmap", start)
    expand = _Trial("expand", start)
    if mode is not None:
        return {"loop": [], "vmap": [vmap], "expand": [expand]}[mode]
    alone = _Trial("loop", 1, 2)  # the first may be slow for being the first
    batched = [t._replace(first=max(t.first, 2)) for t in ((expand, vmap) if can_expand else (vmap,))]
    if start >= _MANY and vmap is not at_once:
        return [*batched, alone]
    if before >= _PARTLY:
        batched.sort(key=lambda trial: trial.mode == "expand")
    elif not try_all:
        return [alone]
    return [batched[0], alone, *batched[1:]] if vmap is at_once else [alone, *batched]
