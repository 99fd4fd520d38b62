"""Whether members differ at all, and by more than the order of sums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from dropkit.core import DataError, NoMatchError
from dropkit.infer.prediction import Prediction

_ROUNDING = 256  # units in the last place of the largest output, by which two orders of summing may differ
_RUN = 32  # members at most that run by themselves to tell


def check_varies(
    found: Sequence[Prediction], member: Callable[[int], Mapping[str, Tensor]], sites: Iterable[str]
) -> None:
    """Raise unless some output differs between members.

    Members of a larger batch may differ by rounding alone. Where they differ by no more than that, some run again by
    themselves, the same operations on the same shapes: they are then equal bit for bit, or something is dropped.
    Probabilities that are 0 or 1 but for 1e-19, as of a sample with logits far apart, may be equal whatever is dropped,
    or have a variance too small for a float; where there are no others, nothing is raised.

    Args:
        found: What the members say of every batch.
        member: Runs one by itself, on one of the batches.
        sites: Ids of what is active, for the error.

    Raises:
        NoMatchError: None does.
        DataError: There is no telling: no output is finite.
    """
    count = max(prediction.n_members for prediction in found)
    if count < 2 or any(map(_clearly, found)) or all(map(settled, found)):
        return
    if not any(bool(prediction.standard_error.isfinite().any()) for prediction in found):
        raise DataError(
            "the model's outputs are NaN or infinite for all samples; look for such values in the inputs and weights"
        )
    if any(bool((prediction.standard_error > 0).any()) for prediction in found) and _differ(
        member, min(count, _RUN)
    ):
        return
    raise NoMatchError(
        f"the outputs of all members are equal, though sites were active: {', '.join(map(repr, sites))}; what they "
        "drop does not reach the output"
    )


def _clearly(prediction: Prediction) -> bool:
    size = prediction.mean.abs().nan_to_num(nan=0.0, posinf=0.0).max() if prediction.mean.numel() else 0.0
    near = size * torch.finfo(prediction.dtype).eps * _ROUNDING
    return bool((prediction.standard_error * prediction.n_members**0.5 > near).any())


def settled(prediction: Prediction) -> bool:
    """Return whether all are probabilities so near to 0 or 1 that members may be equal though they drop."""
    if prediction.task != "classification":
        return False
    smallest = torch.finfo(prediction.mean.dtype).tiny ** 0.5  # whose square is a float
    return bool((prediction.mean * (1 - prediction.mean) < smallest).all())


def _differ(member: Callable[[int], Mapping[str, Tensor]], count: int) -> bool:
    first = member(0)
    return any(
        not torch.allclose(value, first[name], rtol=0.0, atol=0.0, equal_nan=True)
        for index in range(1, count)
        for name, value in member(index).items()
    )
