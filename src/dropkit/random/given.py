"""Masks that are given, not drawn: how one goes through all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import torch
from torch import Tensor

from dropkit.core import StreamError
from dropkit.random.stream import Stream, innermost

Give = Callable[
    [str, int, Sequence[int], "float | Tensor"], Tensor
]  # (site, occurrence, shape, rate) -> kept


class GivenMasks(Stream):
    """A stream that asks a function for every mask; all samples of a batch share it.

    Args:
        give: Returns the mask of a site, True = kept, from the site's name, the number of its call, the shape of the
            mask (1 along the axis of the batch), and the rate.
        batch: ``(axis, length)`` of the batch.
    """

    def __init__(self, give: Give, batch: tuple[int, int]) -> None:
        super().__init__(0, 0, 0, 0, 0, batch)
        self._give = give

    def mask(self, shape: Sequence[int], rate: float | Tensor, site: str | None) -> Tensor:
        """Return the mask of this call of ``site``."""
        name = f"#{int(self._unnamed)}" if site is None else site
        _, occurrence = self.count(site)
        return self._give(name, int(occurrence), shape, rate)

    def key(self, site: str | None) -> NoReturn:
        """Refuse: numbers that are no mask of coins cannot be given."""
        raise StreamError(
            f"site {site!r} draws more than a mask of independent coins, so its masks cannot be enumerated"
        )

    def place(self) -> NoReturn:
        """Refuse: an ensemble of fixed masks has no coins."""
        raise StreamError("an ensemble of fixed masks has no coins to enumerate; predict with its members")


def given_mask(
    shape: Sequence[int],
    rate: float | Tensor,
    site: str | None,
    generator: torch.Generator | None,
    device: torch.device,
) -> Tensor | None:
    """Return the mask that the innermost stream has been given for this call, or None where it draws its masks."""
    stream = innermost()
    if generator is not None or not isinstance(stream, GivenMasks):
        return None
    return stream.mask(shape, rate, site).to(device)
