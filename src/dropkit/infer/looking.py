"""The forward pass that finds the sites of a model, on a few samples, and what it tells of the memory of all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from dropkit.surgery.sampling import Sampler, sampler

_LOOKED_AT = 2  # samples


class Look(NamedTuple):
    """What a look has found.

    Args:
        sampler: The model, dropping.
        seen: Number of samples looked at.
        elements: Of the inputs that one sample has.
    """

    sampler: Sampler
    seen: int
    elements: int

    def needed(self, length: int, elements: int) -> int:
        """Return the bytes that a member takes for a batch of so many samples of so many elements, or more.

        Weights that are drawn count, too, as if they grew with the batch, and all is taken to grow with the square of
        longer samples, as attention does.
        """
        growth = max(elements / max(self.elements, 1), 1.0) ** 2
        return ceil(-(-self.sampler.memory * max(length, self.seen) // self.seen) * growth)


def look(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    axis: int,
    length: int,
    memory: int | None,
    *,
    whole: bool = False,
) -> Look:
    """Look at a forward pass of a few samples, or of all where the model does not run on a few.

    Args:
        model: The model, which is not touched.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        axis: Axis of the batch.
        length: Length of the batch.
        memory: Bytes that a member may take. Where the few tell that it could take more, more samples are looked at, as
            many as fit for sure.
        whole: Whether to look at all samples.
    """
    elements = elements_of((args, dict(kwargs)), (axis, length))

    def first(count: int) -> Look:
        few = tree_map(partial(first_samples, count, (axis, length)), (args, dict(kwargs)))
        return Look(_look(model, *few), count, elements)

    if whole or length <= _LOOKED_AT:
        return Look(_look(model, args, kwargs), max(length, 1), elements)
    try:
        found = first(_LOOKED_AT)
    except Exception:  # all samples tell what is wrong with more than the few
        return Look(_look(model, args, kwargs), length, elements)
    while memory is not None and found.needed(length, elements) > memory:
        count = min(length, found.seen * int(memory // found.sampler.memory))
        if count <= found.seen:
            break
        found = first(count)
    return found


def _look(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Sampler:
    with torch.inference_mode(False):  # in which products would hide inside larger operators
        args, kwargs = tree_map(lambda v: v.clone() if isinstance(v, Tensor) else v, (args, dict(kwargs)))
        given = [v for v in tree_leaves((args, kwargs)) if isinstance(v, Tensor)]
        before = [v._version for v in given]
        made = sampler(model, args, kwargs)
        made.writes |= [v._version for v in given] != before
        return made


def first_samples(count: int, batch: tuple[int, int], value: Any) -> Any:
    """Return ``count`` samples of a tensor that has the batch, an axis and its length; anything else as it is."""
    axis, length = batch
    batched = isinstance(value, Tensor) and -value.ndim <= axis < value.ndim
    return value.narrow(axis, 0, count) if batched and value.shape[axis] == length else value


def elements_of(given: Any, batch: tuple[int, int]) -> int:
    """Return how many elements the tensors among the inputs have for one sample."""
    one = tree_leaves(tree_map(partial(first_samples, 1, batch), given))
    return sum(value.numel() for value in one if isinstance(value, Tensor))
