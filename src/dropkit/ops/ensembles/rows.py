"""Which member of an ensemble in one model each row of a batch belongs to."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.random import next_place
from dropkit.random.packed import by_row, check_rows
from dropkit.random.philox import Word


def row_members(rows: int, members: int, device: torch.device, site: str | None) -> Tensor:
    """Return the member of each row, int64 of shape ``(rows,)``: (its index + the stream's member) modulo ``members``.

    Without a stream the index is that in the batch and the member 0, so the members take turns and ``members`` copies
    of each input, ``x.repeat_interleave(members, 0)``, meet every one. Under a stream the index is the stream's
    ``sample``, so nothing depends on how a batch is chunked, and its members 0, 1, ... run through the ensemble for
    every row; all rows have the same one where the stream's samples share their masks.

    Args:
        rows: Number of rows.
        members: Size of the ensemble.
        device: Where to make it.
        site: Name of the site.

    Raises:
        StreamError: The stream has one ``sample`` or ``member`` a row, but for another number of rows.
    """
    (member, shared, _, _), sample = next_place(site)
    index: Tensor = torch.zeros(rows, dtype=torch.int64, device=device)
    if not shared:
        index = (
            index + (0 if by_row(sample) else torch.arange(rows, device=device)) + _on(sample, rows, device)
        )
    index = index + _on(member, rows, device)
    return index % members


def _on(value: Word, rows: int, device: torch.device) -> Word:
    if not isinstance(value, Tensor):
        return value
    if by_row(value):
        check_rows(value, rows)
    return value.to(device)
