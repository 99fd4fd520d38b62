"""Which mode, and how many members at once: found by trying, on members that all count."""

from __future__ import annotations

from typing import NamedTuple

from dropkit.infer.prediction import Mode

_MOSTLY = 0.75  # of the work, if done before the first site: members under vmap cost next to nothing
_PARTLY = 0.3  # of the work, from which vmap is tried, which does that once, and not a larger batch
_HOPELESS = 1.5  # times the best time a member, at which the first chunk of a mode is its last
_WORSE = 1.15  # the same for larger chunks
_ALL = 1 << 62


class _Trial(NamedTuple):
    """A mode to try: a chunk of ``first`` members, then twice as many each time; at most ``chunks`` of them."""

    mode: Mode
    first: int
    chunks: int = 64


class Pace:
    """The mode and the size of the next chunk of members.

    Without a mode, two members run by themselves, then those of a batched mode, in chunks of twice the size each time
    until that does not pay any more, then the rest in the way that was the fastest. Where the model does nearly all of
    its work before it is random, all members run under ``vmap`` at once. A mode that was asked for is kept, and the
    size of its chunks is found likewise.

    Args:
        mode: The mode, or None.
        before: Share of the model's work that is done before its first site.
        can_expand: Whether the batch is at axis 0.
    """

    def __init__(self, mode: Mode | None, before: float, *, can_expand: bool) -> None:
        self._trials = _trials(mode, before, can_expand)
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
        return mode, min(size, largest, left)

    def took(self, size: int, seconds: float) -> None:
        """Note that the chunk, of ``size`` members, took so long."""
        if not self._trials:
            return
        mode, _, chunks = self._trials[0]
        each = seconds / size
        best = self._best
        if best is None or each < best[0]:
            self._best = each, mode, size
        self._chunks += 1
        limit = _WORSE if self._chunks > 1 else _HOPELESS
        if self._chunks == chunks or (best is not None and each > limit * best[0]):
            # a batched mode that works is enough: a second one would cost more than it could save
            self._trials = self._trials[1:] if mode == "loop" else []
            self._chunks = 0

    def refused(self) -> bool:
        """Note that the model does not run in the mode of the last chunk; return whether there is another to try."""
        if self._asked or not self._trials or self._trials[0].mode == "loop":
            return False
        del self._trials[0]
        self._chunks = 0
        return True


def _trials(mode: Mode | None, before: float, can_expand: bool) -> list[_Trial]:
    at_once = _Trial("vmap", _ALL, 1)
    alone = _Trial("loop", 1, 2)  # the first may be slow for being the first
    vmap = at_once if before >= _MOSTLY else _Trial("vmap", 2)
    if mode is not None:
        return [{"loop": _Trial("loop", 1, 1), "vmap": vmap, "expand": _Trial("expand", 1)}[mode]]
    if not can_expand:
        return [vmap, alone] if vmap is at_once else [alone, vmap]
    expand = _Trial("expand", 2)
    if vmap is at_once:
        return [vmap, alone, expand]
    return [alone, vmap, expand] if before >= _PARTLY else [alone, expand, vmap]
