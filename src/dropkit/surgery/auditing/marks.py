"""What becomes of a dropped tensor: which known mistakes its further way shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_leaves

# Functions that pass values on as they are, and those between which and batch norm the variance still shifts.
_RESHAPING = {
    "view", "reshape", "flatten", "permute", "transpose", "contiguous", "squeeze", "unsqueeze", "t",
    "clone", "expand", "detach", "to", "float", "movedim", "unflatten", "chunk", "split",
}  # fmt: skip
_MAPS = {
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "relu", "relu_", "gelu", "silu", "leaky_relu", "elu", "selu", "tanh", "sigmoid", "hardswish", "mish",
    "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool2d", "boolean_dispatch", "fn",
}  # fmt: skip
_PRODUCTS = {"matmul", "bmm", "baddbmm", "einsum", "__matmul__", "mm"}
_SOFTMAX = {"softmax", "log_softmax", "_softmax"}


class Marks:
    """Follows tensors through a forward pass. It keeps them alive meanwhile, so that none is taken for another."""

    def __init__(self) -> None:
        self.shifted: set[str] = set()  # sites whose output reached batch norm through linear maps alone
        self.on_softmax: set[str] = set()  # sites that dropped a softmax's output which no product used then
        self.flat: set[str] = set()  # sites that dropped 3-d input with a function for 4-d input
        self._dropped: dict[int, tuple[Tensor, str, bool]] = {}  # tensor -> site, whether unchanged since
        self._softmax: dict[int, Tensor] = {}
        self._pending: dict[int, str] = {}

    def follow(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        site: str | None,
    ) -> None:
        """Note one call; ``site`` if it is a site."""
        name = getattr(func, "__name__", "")
        inputs = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        first = inputs[0] if inputs else None
        if site is not None and isinstance(result, Tensor) and first is not None:
            self._site(func, first, result, site)
        elif name in _SOFTMAX and isinstance(result, Tensor):
            self._softmax[id(result)] = result
        elif name in _PRODUCTS:
            for value in inputs:
                if (dropped := self._dropped.get(id(value))) is not None:
                    self.on_softmax.discard(dropped[1])
        elif first is not None and (mark := self._dropped.get(id(first))) is not None:
            if name in ("batch_norm", "instance_norm"):
                self.shifted.add(mark[1])
            elif name in _RESHAPING or name in _MAPS:
                direct = mark[2] and name in _RESHAPING
                for value in result if isinstance(result, (tuple, list)) else (result,):
                    if isinstance(value, Tensor):
                        self._dropped[id(value)] = (value, mark[1], direct)

    def _site(self, func: Callable[..., Any], x: Tensor, result: Tensor, site: str) -> None:
        self._dropped[id(result)] = (result, site, True)
        if id(x) in self._softmax:
            self.on_softmax.add(site)
        if func in (F.dropout2d, torch.feature_dropout) and x.ndim == 3:
            self.flat.add(site)

    def last(self, output: Any) -> set[str]:
        """Return the sites whose dropped tensor is what the model returns."""
        marks = (self._dropped.get(id(value)) for value in tree_leaves(output) if isinstance(value, Tensor))
        return {mark[1] for mark in marks if mark is not None and mark[2]}
