"""Masks that all samples of a batch share: one thinned network for the whole data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from dropkit.core import StreamError
from dropkit.random.stream import innermost


def mask_shape(
    shape: Sequence[int], site: str | None, generator: torch.Generator | None, *, batched: bool = True
) -> Sequence[int]:
    """Return the shape in which a mask of ``shape`` is drawn: 1 along the axis that the stream says is shared.

    Args:
        shape: Shape of the mask.
        site: Name of the site, for the text of the error.
        generator: Explicit source of the mask's key, which takes no notice of streams.
        batched: Whether the mask has a batch axis at all; one over weights is shared as it is.

    Raises:
        StreamError: The mask has no axis of the batch's length where the stream says it is.
    """
    stream = innermost()
    if stream is None or stream.shared_axis is None or generator is not None or not batched:
        return shape
    axis, length = stream.shared_axis
    if not -len(shape) <= axis < len(shape) or shape[axis] != length:
        raise StreamError(
            f"site {site!r} draws a mask of shape {tuple(shape)}, which has no axis of the batch's length, {length}, "
            f"at {axis}; its mask cannot be the same for all samples; use share_masks=False"
        )
    one = list(shape)
    one[axis] = 1
    return tuple(one)


@contextmanager
def batch_first() -> Iterator[None]:
    """Draw the masks of the body with the batch as their first axis, wherever inputs have it."""
    stream = innermost()
    held = None if stream is None else stream.shared_axis
    if stream is None or held is None or held[0] == 0:
        yield
        return
    stream.shared_axis = (0, held[1])
    try:
        yield
    finally:
        stream.shared_axis = held
