"""Learned numbers have an axis of length 1: sharded training (FSDP2) takes no parameter without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def with_axes(state_dict: Mapping[str, Any], prefix: str, *names: str) -> dict[str, Any]:
    """Return ``state_dict`` with an axis at those of ``prefix + name`` that were saved as 0-d tensors."""
    found = ((key, state_dict.get(key)) for key in (f"{prefix}{name}" for name in names))
    return {**state_dict, **{key: x.reshape(1) for key, x in found if isinstance(x, Tensor) and not x.ndim}}
