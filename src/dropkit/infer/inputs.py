"""What inputs must be before anything runs: samples along an axis, where the model is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from dropkit.core import DataError


def first_tensor(inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Return the first tensor among the inputs; raise ``DataError`` if there is none."""
    leaves = tree_leaves((inputs, dict(kwargs)))
    x = next((v for v in leaves if isinstance(v, Tensor)), None)
    if x is None:
        got = ", ".join(sorted({type(v).__name__ for v in leaves})) or "nothing"
        raise DataError(
            f"there is no tensor among the inputs, got {got}; give tensors, or one DataLoader by itself"
        )
    return x


def batch_of(inputs: tuple[Any, ...], kwargs: Mapping[str, Any], axis: int) -> tuple[int, int]:
    """Return the axis of the batch, from the front of the first tensor among the inputs, and its length there.

    Raises:
        DataError: There is no tensor, no such axis, or no sample.
    """
    x = first_tensor(inputs, kwargs)
    if not -x.ndim <= axis < x.ndim:
        raise DataError(f"the inputs have no axis {axis}, got shape {tuple(x.shape)}; set batch_dim")
    if x.shape[axis] == 0:
        raise DataError(f"the inputs hold no sample, got shape {tuple(x.shape)}; give at least one")
    return axis % x.ndim, int(x.shape[axis])


def check_device(model: nn.Module, inputs: Any) -> None:
    """Raise ``DataError`` if inputs are on another device than the parameters of the model."""
    home = next((p.device for p in model.parameters()), None)
    for value in tree_leaves(inputs):
        if isinstance(value, Tensor) and home is not None and value.device != home:
            raise DataError(f"inputs are on {value.device} and the model is on {home}; move one of them")
