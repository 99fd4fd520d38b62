"""Softmax and addition by identity: the functions that attention and residual connections are written with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SOFTMAX: dict[Any, str] = dict.fromkeys(
    (F.softmax, torch.softmax, torch.special.softmax, Tensor.softmax), "softmax"
)
"""Every spelling of softmax, as a function mode sees it."""

ADDITION: dict[Any, str] = dict.fromkeys(
    (torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__), "add"
)
"""Every spelling of ``x + y``, as a function mode sees it."""


def is_count(func: Any, args: Sequence[Any]) -> bool:
    """Whether a call adds to integers, as batch norm counts its batches: no sum that could be dropped from."""
    return func in ADDITION and bool(args) and isinstance(args[0], Tensor) and not args[0].is_floating_point()


PRODUCTS = frozenset(
    {
        torch.matmul,
        torch.bmm,
        torch.mm,
        torch.baddbmm,
        torch.einsum,
        Tensor.matmul,
        Tensor.bmm,
        Tensor.mm,
        Tensor.__matmul__,
    }
)
"""Products of matrices: what attention probabilities go into."""

CASTS: dict[Any, str] = {
    getattr(Tensor, name): name for name in ("to", "type_as", "float", "half", "bfloat16", "double")
}
"""What may stand between a softmax and the dropout after it."""
