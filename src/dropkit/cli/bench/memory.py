"""What a call of dropout keeps for the backward pass: ``python -m dropkit.cli.bench.memory``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

LIMIT, GOAL = 64, 16
ELEMENTS = 1 << 22
_KEY = 16  # four words, kept in the graph's node where the kernels run


def kept_for_backward() -> dict[str, int]:
    """Return the bytes kept by dropkit and by PyTorch for :data:`ELEMENTS` elements of fp32."""
    import torch.nn.functional as F

    from dropkit.ops import dropout, kernels

    ours = kept_tensors(lambda x: dropout(x, 0.5, training=True))
    return {
        "dropkit": ours + (_KEY if kernels.active() else 0),
        "F.dropout": kept_tensors(lambda x: F.dropout(x, 0.5)),
    }


def kept_tensors(function: Callable[[Any], Any], elements: int = ELEMENTS) -> int:
    """Return the bytes of the tensors that autograd saves in ``function``."""
    import torch

    kept = 0

    def pack(saved: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += saved.numel() * saved.element_size()
        return saved

    x = torch.ones(elements, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        function(x)
    return kept


if __name__ == "__main__":
    print(json.dumps(kept_for_backward()))
