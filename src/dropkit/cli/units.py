"""Whether new examples look as if they were in another unit than those that a model was trained on."""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

_FAR = 5.0  # a /255 or /16 too many or too few is far beyond, another kind of image rarely
_BATCHES = 8  # enough to see a factor of five
_FEW = 10  # values: fewer may be small by chance


def unit_note(name: str, rows: Dataset[Any], trained: Dataset[Any]) -> str | None:
    """Return a note where the size of inputs is several times more or less than in training, else None.

    Args:
        name: Of the new examples.
        rows: Those, scaled as in training: ``(x, ...)``.
        trained: What the model was trained on.
    """
    (new, count), (old, _) = _size(rows), _size(trained)
    if old == 0.0 or not (new > _FAR * old or (new < old / _FAR and count >= _FEW)):
        return None
    return (
        f"{name}: once scaled as for training, inputs have size {new:.2g} (root mean square), and in training "
        f"{old:.2g}; if that is not meant, give them in the unit of the study's data before any scaling"
    )


def _size(rows: Dataset[Any]) -> tuple[float, int]:
    """Return the root mean square of the first inputs, and how many numbers they are."""
    total, count = 0.0, 0
    for batch in islice(DataLoader(rows, 256), _BATCHES):
        x = (batch[0] if isinstance(batch, list | tuple) else batch).double()
        total += float(torch.square(x).sum())
        count += x.numel()
    return (total / max(count, 1)) ** 0.5, count
