"""Masks of activation checkpointing: a recomputation in backward replays the keys of its forward.

``torch.utils.checkpoint`` runs a region again during backward. Counting occurrences again would give other
masks, and silently wrong gradients. So keys drawn inside a region are kept on the region's own object, 16 bytes
a call, and the second run reads them back in order; whether the stream has moved on or ended does not matter.
Regions nest: a key is kept for each region around its call, as the outermost one is run again first, which makes
new regions of those inside it.
"""

from __future__ import annotations

import inspect
import sys
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils import checkpoint
from torch.utils.checkpoint import CheckpointFunction

from dropkit.core import StreamError

if TYPE_CHECKING:
    from dropkit.random.key import Key

_TAPE = "_dropkit_tape"


class Tape:
    """The keys of one checkpointed region, in the order of its calls."""

    def __init__(self) -> None:
        self._keys: list[tuple[str | None, Key]] = []
        self._task = -1
        self._next = 0

    def record(self, site: str | None, key: Key) -> None:
        """Keep the key of a call in the forward pass."""
        self._keys.append((site, key))

    def replay(self, site: str | None, task: int) -> Key:
        """Return the key of the next call in the recomputation that belongs to backward pass ``task``."""
        if task != self._task:
            self._task, self._next = task, 0
        if self._next == len(self._keys):
            raise StreamError(
                f"recomputation in backward draws a mask at site {site!r} that its forward did not draw; "
                "a checkpointed region must do the same both times"
            )
        expected, key = self._keys[self._next]
        if expected != site:
            raise StreamError(
                f"recomputation in backward draws at site {site!r} where its forward drew at {expected!r}; "
                "a checkpointed region must do the same both times"
            )
        self._next += 1
        return key


class Region(NamedTuple):
    """Where a call is made.

    Args:
        tapes: Those of the checkpointed regions running their first time around the call, innermost first.
        recomputing: Whether the call is made in a backward pass.
        replayed: The tape of the region being run again, or None where nothing was kept, or nothing is known.
    """

    tapes: tuple[Tape, ...] = ()
    recomputing: bool = False
    replayed: Tape | None = None

    @property
    def innermost(self) -> Tape | None:
        """Tape of the nearest region around the call."""
        return self.tapes[0] if self.tapes else self.replayed


NOWHERE = Region()


def region() -> Region:
    """Return where the call that is being made stands."""
    task = torch._C._current_graph_task_id()
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    if hooks is None and task == -1 and (torch.is_grad_enabled() or torch.is_inference_mode_enabled()):
        return NOWHERE  # a region saves tensors by hooks or, the reentrant kind, runs without grad
    owners, again = _around()
    if hooks is not None and getattr(hooks[0], "__code__", None) is _PACK:
        nearest = _closed_over(
            hooks[0], "frame"
        )  # of a region that was entered without a call of checkpoint()
        if nearest is not again and all(owner is not nearest for owner in owners):
            owners.insert(0, nearest)
    tapes = tuple(_tape_of(owner) for owner in owners)
    return Region(tapes, task != -1 or again is not None, getattr(again, _TAPE, None))


def traced_inside() -> bool:
    """Whether the code being compiled was called inside a checkpointed region. Seen while tracing, and only then."""
    owners, again = _around()
    return bool(owners) or again is not None


# As torch.compiler.assume_constant_result does, which would import the compiler, a second at start-up.
traced_inside._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _around() -> tuple[list[Any], Any]:
    """Return what the stack tells: owners of the regions entered, innermost first, and that of the one run again."""
    owners: list[Any] = []
    frame = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if code is _UNPACK:
            return owners, frame.f_locals["frame"]
        if code is _BACKWARD:
            return owners, frame.f_locals["ctx"]
        if code is _FORWARD:
            owners.append(frame.f_locals["ctx"])
        elif code is _CHECKPOINT:
            generator = frame.f_locals.get("gen")  # None for the reentrant kind
            inside = None if generator is None else generator.gi_frame
            if inside is not None and "new_frame" in inside.f_locals:
                owners.append(inside.f_locals["new_frame"])
        frame = frame.f_back  # type: ignore[assignment]
    return owners, None


def _tape_of(owner: Any) -> Tape:
    tape = getattr(owner, _TAPE, None)
    if tape is None:
        tape = Tape()
        setattr(owner, _TAPE, tape)
    return tape


def _closed_over(function: Any, name: str) -> Any:
    return function.__closure__[function.__code__.co_freevars.index(name)].cell_contents


def _inner(function: Any, name: str) -> CodeType:
    """Return the code of the function called ``name`` that ``function`` defines."""
    found: CodeType = next(c for c in function.__code__.co_consts if getattr(c, "co_name", None) == name)
    return found


# How torch.utils.checkpoint is recognised on the stack. Both kinds: what runs a region first, and what runs it again.
_CHECKPOINT: CodeType = inspect.unwrap(checkpoint.checkpoint).__code__
_PACK, _UNPACK = (_inner(checkpoint._checkpoint_hook.__init__, name) for name in ("pack_hook", "unpack_hook"))
_FORWARD: CodeType = CheckpointFunction.forward.__code__
_BACKWARD: CodeType = CheckpointFunction.backward.__code__
