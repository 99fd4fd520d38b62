"""The masks of Masksembles: sets of features with a wanted overlap that together cover all features."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import OptionError
from dropkit.random import stream, uniform

ATTEMPTS = 10_000
MOST = 1000.0


def make_masks(features: int, members: int, scale: float, seed: int) -> Tensor:
    """Return boolean masks of shape ``(members, features)``, each with equally many True.

    Each member draws ``k`` of ``T`` positions, ``T`` near ``k * scale``, and positions that nobody drew are left out;
    draws are repeated until ``features`` remain. So two masks share about ``k / scale`` features: all of them at
    scale 1, ever fewer with a larger scale. ``k = features / (scale * (1 - (1 - 1 / scale)**members))``.

    Args:
        features: Number of features ``C``, at least 1.
        members: Number of masks, at least 1.
        scale: Overlap, in ``[1, 1000]``.
        seed: Decides the masks, with the other arguments, on every platform.

    Raises:
        OptionError: An argument is outside its range, or no such masks were found.
    """
    for name, value in (("features", features), ("members", members)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise OptionError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not 1.0 <= scale <= MOST:
        raise OptionError(f"scale must be in [1, {MOST:g}], got {scale!r}")
    share = features / (scale * (1.0 - (1.0 - 1.0 / scale) ** members))
    if share < 1.0:
        raise OptionError(
            f"scale {scale:g} leaves each of {members} members {share:.2g} of {features} features, less than one; "
            "choose a smaller scale, or more features"
        )
    ones = round(share)
    positions = _positions(features, members, ones, scale)
    for attempt in range(ATTEMPTS):
        key = stream(seed, step=attempt, rank=0).key("masksembles")
        drawn = uniform((members, positions), key, torch.device("cpu")).topk(ones, dim=1).indices
        masks = torch.zeros(members, positions, dtype=torch.bool).scatter_(1, drawn, True)
        used = masks.any(dim=0)
        if int(used.sum()) == features:
            return masks[:, used].contiguous()
    raise OptionError(
        f"no {members} masks of {ones} features with scale {scale:g} were found that cover {features} features; choose "
        "another scale"
    )


def _positions(features: int, members: int, ones: int, scale: float) -> int:
    """Return the number of positions of which ``members`` draws of ``ones`` use ``features`` on average."""

    def used(total: int) -> float:
        return total * (1.0 - (1.0 - ones / total) ** members)

    low, high = features, max(features, round(2 * ones * scale))
    while low < high:  # it grows with the number of positions
        middle = (low + high) // 2
        low, high = (low, middle) if used(middle) >= features else (middle + 1, high)
    return max(features, min(low, low - 1, key=lambda total: abs(used(total) - features)))
