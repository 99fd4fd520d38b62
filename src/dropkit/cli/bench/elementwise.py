"""Dropout of a tensor against a multiplication by a constant, PyTorch's own dropout, and that compiled."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dropkit.cli.bench.rows import Entered
from dropkit.cli.bench.turns import Loop, repeated
from dropkit.nn import Dropout
from dropkit.random import stream

RATE = 0.5
BASE, OURS, NO_STREAM, TORCH, COMPILED = "x * c", "dropkit", "no stream", "F.dropout", "compiled"


def contestants(shape: tuple[int, ...], dtype: str, *, channels_last: bool, backward: bool) -> Entered:
    """Return what is compared on a tensor; autograd records in every forward pass, as it does in training.

    Args:
        shape: Of the tensor.
        dtype: Its name in torch.
        channels_last: Whether it lies in memory that way.
        backward: Whether a call is a forward and a backward pass, or a forward pass alone.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x, gradient = (
        torch.ones(shape).to(getattr(torch, dtype)).contiguous(memory_format=layout) for _ in range(2)
    )
    x.requires_grad_()

    def loop(function: Callable[[Tensor], Tensor]) -> Loop:
        if backward:
            return repeated(lambda: torch.autograd.grad(function(x), x, gradient))
        return repeated(lambda: function(x))

    module = Dropout(RATE)
    found = {
        BASE: loop(lambda x: x * 1.5),
        OURS: _in_stream(loop(module)),
        NO_STREAM: loop(module),
        TORCH: loop(lambda x: F.dropout(x, RATE)),
    }
    compiled: Callable[[Tensor], Tensor] = torch.compile(lambda x: F.dropout(x, RATE), fullgraph=True)
    try:
        loop(compiled)(1)
    except Exception as error:  # whatever a compiler that is missing or broken makes of it
        return found, [f"no {COMPILED} F.dropout: {_short(error)}"]
    return found | {COMPILED: loop(compiled)}, []


def _in_stream(loop: Loop) -> Loop:
    def inside(times: int) -> None:
        with stream(1):
            loop(times)

    return inside


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0][:120]}"
