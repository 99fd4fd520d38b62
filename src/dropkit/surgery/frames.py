"""The mode that leads calls to forwards: who is running now, and whose calls are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

Func = Callable[..., Any]
Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class Watcher:
    """Stands for the code that runs now: makes the calls of functions that can be sites. This one just makes them."""

    dropped: Any = None  # attention probabilities that a plan has dropped

    def call(self, mode: FrameMode, name: str, func: Func, args: Args, kwargs: Kwargs) -> Any:
        """Call ``func``, known as ``name``, seen by ``mode``."""
        return func(*args, **kwargs)


UNWATCHED = Watcher()
"""Stands where a frame does while calls belong to no site."""


class FrameMode(TorchFunctionMode):
    """One mode stands for all modules below the one that entered it, each with a frame while its forward runs.

    Modes belong to a thread, so other threads are not affected.

    Args:
        frame: That of the module that enters it.
    """

    def __init__(self, frame: Watcher) -> None:
        super().__init__()
        self.frames: list[Watcher] = [frame]

    def has_dropped(self, x: Any) -> bool:
        """Whether a plan dropped ``x``, attention probabilities, in the forward that runs now."""
        return self.frames[-1].dropped is x

    def is_top(self) -> bool:
        """Whether no other mode was entered since."""
        return _get_current_function_mode_stack()[-1] is self  # type: ignore[no-untyped-call]


def innermost_mode() -> FrameMode | None:
    """Return the mode around this call, if there is one."""
    if torch._C._len_torch_function_stack() == 0:
        return None
    for mode in reversed(_get_current_function_mode_stack()):  # type: ignore[no-untyped-call]
        if isinstance(mode, FrameMode):
            return mode
    return None
