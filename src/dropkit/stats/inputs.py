"""Checks of the arrays and numbers that the functions of this room are given."""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dropkit.core import DataError

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

LARGEST = 1e300  # so that no difference, sum or interval overflows
HALF = {"float16": 2.0**-10, "bfloat16": 2.0**-7}  # how far rounded probabilities can be from a sum of 1
SUM_TOLERANCE = 1e-4  # rounding of a float32 softmax is far below this, a forgotten softmax far above


def as_array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return ``values`` as an array; a tensor is taken off its graph and its device."""
    given: Any = values
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.float() if str(given.dtype) == "torch.bfloat16" else given  # NumPy has no bfloat16
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name} must be an array: {error}") from None


def as_floats(values: npt.ArrayLike, name: str) -> Floats:
    """Return ``values`` as float64; raise ``DataError`` if they are not numbers or not all finite."""
    given = as_array(values, name)
    if np.iscomplexobj(given):
        raise DataError(f"{name} must be an array of real numbers, got {given.dtype}")
    if given.ndim == 0 and given.dtype == object and hasattr(values, "mean"):
        raise DataError(
            f"{name} must be an array, got a {type(values).__name__}; give what is meant of it, such as .mean"
        )
    try:
        array = given.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be an array of real numbers: {error}") from None
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise DataError(
            f"{name} must be finite, got {bad} NaN or infinite of {array.size} values; remove them"
        )
    return array


def check_paired(
    baseline: npt.ArrayLike, treatment: npt.ArrayLike, *, least: int = 2
) -> tuple[Floats, Floats]:
    """Return two finite 1-d arrays of one length ``n >= least``: entry ``i`` of each has seed ``i``."""
    a, b = as_floats(baseline, "baseline"), as_floats(treatment, "treatment")
    if a.ndim != 1 or b.ndim != 1:
        raise DataError(f"results must be one number a seed (1-d), got shapes {a.shape} and {b.shape}")
    if len(a) != len(b):
        raise DataError(
            f"paired results need equal lengths, got {len(a)} and {len(b)}; match them seed by seed"
        )
    if len(a) < least:
        raise DataError(f"at least {least} paired results are needed, got {len(a)}; run more seeds")
    largest = max(np.abs(a).max(), np.abs(b).max())
    if largest > LARGEST:
        raise DataError(f"results must be at most {LARGEST:g} in size, got {largest:g}; rescale them")
    return a, b


def check_alpha(alpha: float, name: str = "alpha") -> float:
    """Return ``alpha`` if it lies strictly between 0 and 1, else raise ``DataError`` naming ``name``."""
    if not 0.0 < alpha < 1.0:
        raise DataError(f"{name} must be in (0, 1), got {alpha!r}")
    return float(alpha)


def check_positive(value: float, name: str) -> float:
    """Return ``value`` if it is positive and finite, else raise ``DataError`` naming ``name``."""
    if not (math.isfinite(value) and value > 0.0):
        raise DataError(f"{name} must be positive and finite, got {value!r}")
    return float(value)


def check_threshold(value: float) -> float:
    """Return ``value``, which may be infinite, unless it is NaN: nothing is above or below that."""
    if math.isnan(value):
        raise DataError("threshold must be a number or infinite, got nan")
    return float(value)


def check_count(n: int, name: str = "n", *, least: int = 2) -> int:
    """Return ``n`` if it is a whole number of at least ``least``, else raise ``DataError``."""
    if int(n) != n or n < least:
        raise DataError(f"{name} must be a whole number of at least {least}, got {n!r}")
    return int(n)


def check_ratio(ratio: float | None) -> float:
    """Return the test : train ratio of overlapping splits, or 0 for ``None`` (independent differences)."""
    return 0.0 if ratio is None else check_positive(ratio, "test_train_ratio")


def check_classification(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Integers]:
    """Return class probabilities, shape ``(N, C)``, and labels, shape ``(N,)`` with values in ``0 .. C-1``."""
    p = check_probabilities(probabilities)
    if len(p) == 0:
        raise DataError(f"probabilities must have shape (N, C) with N >= 1 and C >= 2, got {p.shape}")
    return p, check_labels(labels, p, "probabilities")


def check_labels(labels: npt.ArrayLike, scores: Floats, name: str) -> Integers:
    """Return labels, shape ``(N,)``, that are columns of ``scores``, shape ``(N, C)``, known as ``name``."""
    y = as_array(labels, "labels")
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"labels must be integers, got {y.dtype}")
    count, classes = scores.shape
    if y.shape != (count,):
        raise DataError(f"labels must have shape ({count},) to match {name}, got {y.shape}")
    if y.min() < 0 or y.max() >= classes:
        raise DataError(f"labels must be in 0 .. {classes - 1}, got {y.min()} to {y.max()}")
    return y.astype(np.int64)


def check_probabilities(probabilities: npt.ArrayLike) -> Floats:
    """Return class probabilities, shape ``(N, C)`` with ``C >= 2``; ``N`` may be 0."""
    p = as_floats(probabilities, "probabilities")
    if p.ndim == 1 and len(p):
        raise DataError(
            f"probabilities must have shape (N, C), got {p.shape}; of an event with probability p give two columns, "
            "np.stack((1 - p, p), axis=1)"
        )
    if p.ndim != 2 or p.shape[1] < 2:
        raise DataError(f"probabilities must have shape (N, C) with N >= 1 and C >= 2, got {p.shape}")
    check_sums(p, probabilities, "probabilities")
    return p


def check_sums(p: Floats, given: npt.ArrayLike, name: str) -> None:
    """Raise ``DataError`` unless ``p``, made of ``given``, holds distributions along its last axis."""
    if p.size == 0:
        return
    allowed = max(SUM_TOLERANCE, HALF.get(str(getattr(given, "dtype", "")).removeprefix("torch."), 0.0))
    if p.min() < 0.0 or p.max() > 1.0 + allowed:
        raise DataError(f"{name} must be in [0, 1], got {p.min():g} to {p.max():g}; apply softmax first")
    sums = p.sum(axis=-1)
    worst = np.unravel_index(int(np.argmax(np.abs(sums - 1.0))), sums.shape)
    if abs(sums[worst] - 1.0) > allowed:
        row = ", ".join(map(str, worst))
        rounded = abs(sums[worst] - 1.0) < max(HALF.values())
        hint = "divide by the sums, or apply softmax in float32" if rounded else "apply softmax first"
        raise DataError(f"{name} must sum to 1, row {row} sums to {sums[worst]:g}; {hint}")
