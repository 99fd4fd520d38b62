"""Which line of a forward uses Python's or NumPy's random numbers."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from dropkit.surgery.untouched import host_state, private_generators

# Frames of these draw for somebody else: the line that called them is what a reader looks for.
_LIBRARIES = (
    f"{Path(torch.__file__).parent}{os.sep}",  # with the separator, or torchvision would be torch
    f"{Path(np.__file__).parent}{os.sep}",
    f"{Path(__file__).parents[2]}{os.sep}",
)
_STANDARD = str(Path(random.__file__).parent)


def _somebodys(file: str) -> bool:
    if file.startswith(_LIBRARIES) or file.startswith("<"):
        return False
    return not file.startswith(_STANDARD) or "site-packages" in file


def lines_drawing(modules: list[Any], run: Callable[[], Any]) -> list[str]:
    """Run ``run`` line by line; return ``file:line`` of every line after which a host generator had moved."""
    found: dict[str, None] = {}
    own = private_generators(modules)
    state = host_state(own)
    at: dict[int, str] = {}  # frame -> the line that it is executing

    def look(frame: FrameType) -> None:
        nonlocal state
        now = host_state(own)
        if now != state:
            state = now
            found[at.get(id(frame), f"{frame.f_code.co_filename}:{frame.f_lineno}")] = None

    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event in ("line", "return"):
            look(frame)
        at[id(frame)] = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        return local

    def entered(frame: FrameType, event: str, _: Any) -> Any:
        return local if _somebodys(frame.f_code.co_filename) else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        run()
    finally:
        sys.settrace(before)
    return list(found)
