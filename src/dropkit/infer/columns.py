"""Inputs of a weight that were put together from several tensors: which of its columns belong to which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from dropkit.infer.flow import is_mark
from dropkit.infer.linear_maps import function_name
from dropkit.surgery.activations import ACTIVATION_MODULES
from dropkit.surgery.tree import Tree

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_KEEPING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)
_ELEMENTWISE = frozenset(("relu", "tanh", "sigmoid", "gelu", "silu", "elu", "selu", "leaky_relu", "dropout"))


def is_concatenation(node: fx.Node) -> bool:
    """Whether ``node`` puts tensors together along an axis that they have."""
    return function_name(node) in ("cat", "concat", "concatenate")


def pieces(joint: fx.Node) -> tuple[Any, ...]:
    """Return what a concatenation puts together."""
    given: Any = joint.args[0] if joint.args else joint.kwargs["tensors"]
    return tuple(given)


def keeps_columns(node: fx.Node, tree: Tree) -> bool:
    """Whether the output of ``node`` has the inputs' values where they were."""
    return node.op == "call_module" and type(tree.modules[str(node.target)]) in _KEEPING


def column_factors(joint: fx.Node, factors: Sequence[float], name: str, tree: Tree) -> Tensor | None:
    """Return what a weight has to be multiplied by, whose inputs are pieces with these factors.

    Args:
        joint: What puts the pieces together.
        factors: Of the pieces.
        name: Name of the weight, of a linear map or a convolution.
        tree: The model.

    Returns:
        Tensor: Of a shape that broadcasts with the weight, fp64; None where the widths of the pieces cannot be told.
    """
    path, _, attribute = name.rpartition(".")
    module = tree.modules[path]
    weight = getattr(module, attribute)
    if getattr(module, "groups", 1) != 1 or isinstance(module, nn.MultiheadAttention):
        return None
    axis = 0 if isinstance(module, _TRANSPOSED) else 1
    widths = _widths(joint, weight.ndim - 2, int(weight.shape[axis]), tree)
    if widths is None:
        return None
    each = torch.cat([torch.full((w,), f, dtype=torch.float64) for w, f in zip(widths, factors, strict=True)])
    return each.view([-1 if k == axis else 1 for k in range(weight.ndim)])


def _widths(joint: fx.Node, spatial: int, total: int, tree: Tree) -> list[int] | None:
    named = joint.kwargs.get("dim", joint.kwargs.get("axis", 0))
    axis: Any = joint.args[1] if len(joint.args) > 1 else named
    found: list[int | None]
    if "shape" in joint.meta:
        dims = len(joint.meta["shape"])
        if axis % dims != dims - 1 - spatial:
            return None
        found = [x.meta["shape"][axis] for x in pieces(joint)]
    else:
        found = [_width(x, spatial, tree) for x in pieces(joint)] if axis != 0 else []
    if found.count(None) == 1:
        found[found.index(None)] = total - sum(w for w in found if w is not None)
    known = [w for w in found if w is not None and w > 0]
    # along another axis each piece would be as wide as the weight
    return known if len(known) == len(pieces(joint)) and sum(known) == total else None


def _width(node: Any, spatial: int, tree: Tree) -> int | None:
    """Return the number of features or channels of a tensor, by the layer that made it; None if that is not clear."""
    while isinstance(node, fx.Node):
        if node.op == "call_module":
            module = tree.modules[str(node.target)]
            if isinstance(module, _CONVOLUTIONS):
                return module.out_channels if module.weight.ndim - 2 == spatial else None
            if isinstance(module, nn.Linear):
                return None if spatial else module.out_features
            if isinstance(module, nn.Embedding):
                return None if spatial else module.embedding_dim
            if not isinstance(module, (*_KEEPING, *_NORMS, *ACTIVATION_MODULES)) or isinstance(
                module, nn.GLU
            ):
                return None
        elif not is_mark(node) and function_name(node) not in _ELEMENTWISE:
            return None
        node = node.args[0] if node.args else None
    return None
