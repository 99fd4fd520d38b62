"""The plain pass of a model in eval mode, which with dropout is the weight-scaled network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dropkit.core import DataError
from dropkit.infer.loading import calls
from dropkit.surgery.copying import copied
from dropkit.surgery.tree import Tree


def shared_copy(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode with the same parameters and buffers of its own, so that the model stays as it is."""
    return copied(Tree(model).root).eval()


def plain_pass(model: nn.Module, *inputs: Any, batch_dim: int = 0, **forward_kwargs: Any) -> Tensor:
    """Return what the model says in eval mode; it is not touched.

    Args:
        model: Any module that returns one floating-point tensor.
        inputs: What its forward takes; or one ``DataLoader``, as for :func:`dropkit.predict`.
        batch_dim: Axis of the batch in the outputs, along which the batches of a ``DataLoader`` are joined.
        forward_kwargs: Keyword arguments of the forward.

    Raises:
        DataError: It returns something else, or there is no input.
    """
    made = shared_copy(model)
    with torch.inference_mode():
        outputs = [_tensor(made(*batch, **named)) for batch, named in calls(model, inputs, forward_kwargs)]
    if not outputs:
        raise DataError("the DataLoader is empty; there is nothing to predict")
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, batch_dim)


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        what = "a dict" if isinstance(value, Mapping) else f"a {type(value).__name__}"
        raise DataError(f"the model must return one floating-point tensor, got {what}; wrap it")
    return value
