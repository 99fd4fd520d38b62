"""What every op on graphs asks of its edges."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import DtypeError, ShapeError

_WHOLE = (torch.int64, torch.int32)


def check_edges(name: str, edge_index: Tensor) -> None:
    """Raise ``ShapeError`` or ``DtypeError`` unless ``edge_index`` has shape ``(2, E)`` and holds whole numbers."""
    if edge_index.ndim != 2 or edge_index.shape[0] != 2:
        raise ShapeError(f"{name} needs an edge_index of shape (2, E), got {tuple(edge_index.shape)}")
    if edge_index.dtype not in _WHOLE:
        raise DtypeError(f"{name} needs an edge_index of int64 or int32, got {edge_index.dtype}")
