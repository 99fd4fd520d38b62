"""Masks of activation checkpointing: a recomputation in backward replays the keys of its forward.

``torch.utils.checkpoint`` runs a region again during backward. Counting occurrences again would give other
masks, and silently wrong gradients. So keys drawn inside a region are kept on the region's own object, 16 bytes
a call, and the second run reads them back in order; whether the stream has moved on or ended does not matter.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.checkpoint import CheckpointFunction

from dropkit.core import StreamError

if TYPE_CHECKING:
    from dropkit.random.key import Key

_FORWARD = "_checkpoint_hook.__init__.<locals>.pack_hook"
_AGAIN = "_recomputation_hook.__init__.<locals>.pack_hook"
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


def region() -> tuple[Tape | None, bool]:
    """Return the tape of the checkpointed region being run, if any, and whether this is its second run."""
    task = torch._C._current_graph_task_id()
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    if hooks is not None:
        pack = inspect.unwrap(hooks[0])
        name = getattr(pack, "__qualname__", "")
        if name == _FORWARD:
            # During backward this is a region nested in a recomputed one, which has no tape: not replayable.
            return _tape_of(_closed_over(pack, "frame"), make=task == -1), task != -1
        if name == _AGAIN:
            return _tape_of(_closed_over(pack, "target_frame_ref")(), make=False), True
    if task != -1:
        ctx = _caller(CheckpointFunction.backward)
        return (None if ctx is None else _tape_of(ctx, make=False)), True
    if not torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
        ctx = _caller(CheckpointFunction.forward)  # the reentrant kind runs its forward without grad
        if ctx is not None:
            return _tape_of(ctx, make=True), False
    return None, False


def _tape_of(owner: Any, *, make: bool) -> Tape | None:
    tape = getattr(owner, _TAPE, None)
    if tape is None and make:
        tape = Tape()
        setattr(owner, _TAPE, tape)
    return tape


def _closed_over(function: Any, name: str) -> Any:
    return function.__closure__[function.__code__.co_freevars.index(name)].cell_contents


def _caller(function: Any) -> Any:
    """Return the ``ctx`` of the nearest call of an autograd function's static method on the stack, or None."""
    code = function.__code__
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code is code:
            return frame.f_locals["ctx"]
        frame = frame.f_back  # type: ignore[assignment]
    return None
