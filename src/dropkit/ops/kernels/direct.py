"""Which tensors the kernels can take, and which of them past torch's dispatcher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

from dropkit.ops.kernels import loading

DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
_PLAIN = (Tensor, torch.nn.Parameter)


def can_take(x: Tensor) -> bool:
    """Whether the kernels can compute on ``x``: a dense CPU tensor of a dtype they know, or a tracer's stand-in."""
    if not loading.active() or x.device.type != "cpu" or x.dtype not in DTYPES:
        return False
    return torch.compiler.is_compiling() or (
        type(x) in _PLAIN and x.layout is torch.strided and not _functionalized()
    )


def _functionalized() -> bool:
    """Whether ``torch.func.functionalize`` looks on: it has no rule for autograd functions of Python."""
    functorch = torch._C._functorch
    return functorch.maybe_current_level() is not None and any(
        level.key() == functorch.TransformType.Functionalize for level in functorch.get_interpreter_stack()
    )


def is_plain(*tensors: Tensor) -> bool:
    """Whether the kernels can compute on all ``tensors``, in eager code under no transform and no forward mode."""
    return (
        not torch.compiler.is_compiling()
        and torch._C._functorch.maybe_current_level() is None
        and forward_ad._current_level < 0
        and all(can_take(x) for x in tensors)
    )


def address(x: Tensor) -> int | None:
    """Return where the elements of ``x`` lie one after another, or None: ask the dispatcher.

    Its cost would show on a small tensor; without it no mode, tracer or transform sees the call.
    """
    if (
        not x.is_contiguous()
        or x.is_neg()
        or torch._C._len_torch_dispatch_stack() != 0
        or torch._C._get_tracing_state() is not None
    ):
        return None
    try:
        return x.data_ptr()
    except RuntimeError:  # a wrapper of a transform, such as batched gradients make
        return None
