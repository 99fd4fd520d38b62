"""A key as native kernels take it: five numbers, the four words and the number of the first element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from dropkit.core import StreamError
from dropkit.random.key import Key
from dropkit.random.philox import Word

Packed: TypeAlias = "tuple[int, ...] | Tensor"


def packed(key: Key, shape: Sequence[int], device: torch.device) -> Packed:
    """Return the five numbers of ``key`` for a mask of ``shape``.

    Args:
        key: Key of the call.
        shape: Shape of the mask; its first axis is the one that a per-row ``sample`` or ``member`` counts.
        device: Where a tensor is made.

    Returns:
        A tuple of five ints; or, where the key has tensors, an int64 tensor of shape ``(5,)``, or ``(N, 5)`` with
        one key for each of the mask's ``N`` rows. The elements after the axes of the keys are numbered row-major
        from the fifth number on.

    Raises:
        StreamError: The stream has one ``sample`` or ``member`` a row, but for another number of rows.
    """
    words, sample = key
    if not isinstance(sample, Tensor) and not isinstance(words[0], Tensor):
        if sample:
            return (*words, sample * math.prod(shape[1:]))
        return (*words, 0)
    size, rows = math.prod(shape[1:]), shape[0] if shape else 1
    if any(by_row(word) for word in words) and not by_row(sample):
        sample = sample + torch.arange(rows, device=device)
    parts: list[Word] = [*words, sample * size]
    for part in parts:
        if by_row(part):
            check_rows(part, rows)
    zero = torch.zeros((), dtype=torch.int64, device=device)
    return torch.stack(torch.broadcast_tensors(*(zero + part for part in parts)), dim=-1)  # type: ignore[no-untyped-call]


def by_row(value: Word) -> bool:
    """Whether ``value`` has one number for each row of a mask."""
    return isinstance(value, Tensor) and value.ndim > 0


def without_rows(key: Key, site: str | None) -> Key:
    """Return ``key`` for a mask that has no batch axis, such as one over weights: the same for every row.

    Raises:
        StreamError: The stream has one member a row, and each of them would need a mask of its own.
    """
    if any(by_row(word) for word in key.words):
        raise StreamError(
            f"site {site!r} draws one mask for the whole batch, but the stream has one member a row; run the members "
            "one by one, or under vmap with a 0-d member"
        )
    return Key(key.words, 0)


def check_rows(value: Tensor, rows: int) -> None:
    """Raise ``StreamError`` unless ``value`` has one number for each of ``rows`` rows."""
    if value.shape != (rows,):
        raise StreamError(
            f"the stream has a sample or member for each of {value.numel()} rows, shape "
            f"{tuple(value.shape)}, but this mask has {rows} rows; pass a 1-d tensor with one value a row"
        )
