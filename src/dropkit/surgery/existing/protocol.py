"""What is known of a function that drops, and which tensors dropkit can take from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dropkit.surgery.frames import FrameMode

Arguments = Mapping[str, Any]

_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


class Existing(Protocol):
    """A function of PyTorch that drops, and how dropkit does the same.

    It runs as PyTorch would run it, except for who draws the mask: same law, same rate, read at every call, same
    shapes, checks and warnings, written in place where the original is.
    """

    @property
    def name(self) -> str:
        """What ids call it."""

    @property
    def variant(self) -> str:
        """Name in the catalogue of what it does."""

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """Return the arguments of a call by name, defaults included."""

    def rate(self, values: Arguments) -> Any:
        """Return the probability of dropping, or None for a call that drops nothing."""

    def dropping(self, values: Arguments, rate: float) -> Arguments:
        """Return the arguments of the same call, dropping at ``rate``."""

    def refusal(self, values: Arguments) -> str | None:
        """Say why dropkit cannot run this call, or return None."""

    def call(self, func: Callable[..., Any], values: Arguments) -> Any:
        """Call ``func``, the original, with these arguments."""

    def run(self, mode: FrameMode, func: Callable[..., Any], values: Arguments, site: str) -> Any:
        """Run the call on dropkit.

        Args:
            mode: The mode that saw it.
            func: The function called.
            values: Its arguments.
            site: Name of the site.
        """


def cannot_take(*tensors: Any) -> str | None:
    """Say why dropkit's ops cannot take these arguments, or return None."""
    if not torch.compiler.is_compiling() and torch._C._get_tracing_state() is not None:
        return "torch.jit.trace would freeze its mask"
    for x in tensors:
        if type(x) is not Tensor and type(x) is not nn.Parameter:
            return f"its input is a {type(x).__name__}"
        if x.dtype not in _DTYPES:
            return f"its input is {x.dtype}"
        if x.layout is not torch.strided or x.is_nested:
            return "its input is no dense tensor"
    return None
