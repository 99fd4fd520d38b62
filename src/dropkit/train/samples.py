"""Samples by number: one interface to datasets in memory and to those that make an item at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from dropkit.core import DataError


class Samples(Protocol):
    """A part of the data, e.g. ``"train"``, of known size."""

    @property
    def part(self) -> str:
        """Name of the part, for messages."""

    def __len__(self) -> int: ...

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of the samples at ``indices``, shape ``(n,)`` int64, in that order."""

    def signature(self) -> list[Any]:
        """Return plain values that differ between datasets, to recognise one."""


@dataclass(frozen=True)
class TensorSamples:
    """Samples that lie in memory as two tensors."""

    part: str
    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows of the two tensors."""
        here = indices.to(self.x.device)
        return self.x.index_select(0, here), self.y.index_select(0, here)

    def signature(self) -> list[Any]:
        """Return sizes, dtypes, and a digest of the targets."""
        targets = hashlib.sha256(self.y.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return [
            list(self.x.shape),
            str(self.x.dtype),
            list(self.y.shape),
            str(self.y.dtype),
            targets.hexdigest(),
        ]


@dataclass(frozen=True)
class ItemSamples:
    """Samples of any map-style dataset of pairs, stacked item by item."""

    part: str
    dataset: Any

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Fetch each item and stack them."""
        pairs = [self._pair(index) for index in indices.tolist()]
        columns = []
        for what, column in zip(("inputs", "targets"), zip(*pairs, strict=True), strict=True):
            try:
                columns.append(torch.stack(column))
            except (RuntimeError, TypeError) as error:
                shapes = sorted({tuple(value.shape) for value in column})
                raise DataError(
                    f"{self.part}: {what} of different shapes cannot be one batch, got {shapes[:3]}"
                ) from error
        return columns[0], columns[1]

    def signature(self) -> list[Any]:
        """Return the size: items may be made anew each time, so they identify nothing."""
        return [len(self)]

    def _pair(self, index: int) -> tuple[Tensor, Tensor]:
        try:
            item = self.dataset[index]
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise DataError(f"{self.part}: the dataset fails to give item {index} ({reason})") from error
        try:
            x, y = item
            return torch.as_tensor(x), torch.as_tensor(y)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{self.part}: item {index} must be a pair of an input and a target that are tensors, arrays or "
                f"numbers, got {type(item).__name__}"
            ) from error


def samples(dataset: Dataset[Any], part: str) -> Samples:
    """Return access to ``dataset`` by sample numbers.

    A ``TensorDataset`` of two tensors, and a ``Subset`` of one, is read by rows; any other dataset with a length
    item by item.

    Raises:
        DataError: the dataset has no length, is empty, or does not hold pairs.
    """
    found: Samples | None = _in_memory(dataset, part)
    if found is None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            kind = type(dataset).__name__
            raise DataError(f"{part}: a dataset with a length and numbered items is needed, got {kind}")
        found = ItemSamples(part, dataset)
    if len(found) == 0:
        raise DataError(f"{part} has no samples; give it at least one")
    return found


def _in_memory(dataset: Any, part: str) -> TensorSamples | None:
    # exact types only: a subclass may compute its items
    if type(dataset) is TensorDataset:
        if len(dataset.tensors) != 2:
            raise DataError(
                f"{part}: a TensorDataset of inputs and targets is needed, got {len(dataset.tensors)} tensors"
            )
        return TensorSamples(part, *dataset.tensors)
    if type(dataset) is Subset:
        whole = _in_memory(dataset.dataset, part)
        if whole is not None:
            chosen = torch.as_tensor(list(dataset.indices), dtype=torch.int64)
            return TensorSamples(part, *whole.take(chosen))
    return None


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut ``order``, shape ``(n,)``, into batches of ``size``; the last may be smaller.

    A last batch of a single sample is joined to the one before, as batch normalisation cannot train on it; that rule
    does not look at the model, so that all models see the same batches.
    """
    parts = list(torch.split(order, size))
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
