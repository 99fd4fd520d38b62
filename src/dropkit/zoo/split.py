"""Which example goes to which part: disjoint, deterministic, and the same on every platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropkit.core import ConfigError, DataError, whole_number

Index = NDArray[np.intp]
Size = int | float


@dataclass(frozen=True)
class Parts:
    """Row numbers of the three parts. Disjoint; test and validation in the order of the file."""

    train: Index
    val: Index
    test: Index


def split(
    sizes: tuple[int, int, int],
    *,
    strata: NDArray[Any] | None,
    val: Size | None,
    test: Size | None,
    default_val: Size,
    default_test: Size,
    subset: Size | None,
    seed: int,
    resplit: bool,
    name: str,
) -> Parts:
    """Assign rows ``0 .. sum(sizes) - 1``, of which the first ``sizes[0]`` come as training part, and so on.

    The test part is taken first: from the test rows where there are some, else from all. Of the rest, ``subset``
    are kept, and ``val`` of those are for validation: from the validation rows where there are some, else
    from the training rows. With ``resplit`` all rows are pooled first. A part keeps its own size by default.

    Args:
        sizes: Rows that come as (training, validation, test) part; 0 where there is no such part.
        strata: Label of each row, ``(sum(sizes),)``: each part then gets its share of each class, to within
            a few examples; None: rows are drawn evenly.
        val: Count, or fraction in (0, 1) of the rows kept after the test part is taken.
        test: Count, or fraction in (0, 1) of the rows it is taken from.
        default_val: Used where ``val`` is None and no validation part comes with the data.
        default_test: Used where ``test`` is None and no test part comes with the data.
        subset: Training and validation rows to keep together: count or fraction; None: all.
        seed: Decides everything; at least 0.
        resplit: Whether to pool the parts that come with the data.
        name: Of the data, for the error text.

    Raises:
        ConfigError: an argument is neither a count nor a fraction, or the seed is negative.
        DataError: there are not enough rows.
    """
    number = whole_number(seed)
    if number is None or number < 0:
        raise ConfigError(f"split_seed must be an integer of at least 0, got {seed!r}")
    n_train, n_val, n_test = sizes
    total = sum(sizes)
    if resplit:
        default_val = n_val / (n_train + n_val) if n_val else default_val
        default_test = n_test or default_test
        n_train, n_val, n_test = total, 0, 0
    rows = np.arange(total)
    train_rows = _shuffle(rows[:n_train], strata, seed, 0)
    val_rows = _shuffle(rows[n_train : n_train + n_val], strata, seed, 1)
    test_rows = _shuffle(rows[n_train + n_val :], strata, seed, 2)

    if n_test:
        test_rows = test_rows[: _count("test", test if test is not None else n_test, n_test, n_test, name)]
    else:
        test = _whole(default_test, n_train) if test is None else test
        count = _count("test", test, n_train, n_train - 1, name)
        test_rows, train_rows = train_rows[:count], train_rows[count:]

    available = len(train_rows) + n_val
    kept = available if subset is None else _count("subset", subset, available, available, name)
    if val is None:
        val = _whole(n_val / available if n_val else default_val, kept)
    most = min(kept - 1, n_val) if n_val else kept - 1
    count = _count("val", val, kept, most, name)
    if n_val:
        val_rows, train_rows = val_rows[:count], train_rows[: kept - count]
    else:
        val_rows, train_rows = train_rows[:count], train_rows[count:kept]
    return Parts(train_rows, np.sort(val_rows), np.sort(test_rows))


def _whole(size: Size, of: int) -> int:
    """Return a default size as a count, at least 1: only what was asked for can round to nothing."""
    return size if isinstance(size, int) else max(1, round(size * of))


def _count(what: str, size: Size, of: int, most: int, name: str) -> int:
    """Return ``size`` as a count of ``of`` examples, between 1 and ``most``."""
    if isinstance(size, bool) or not isinstance(size, int | float):
        raise ConfigError(f"{what} must be a count or a fraction in (0, 1), got {size!r}")
    if isinstance(size, float) and not 0.0 < size < 1.0:
        raise ConfigError(f"{what} must be a count (an integer) or a fraction in (0, 1), got {size!r}")
    if isinstance(size, int) and size < 1:
        raise ConfigError(f"{what} must be at least 1 example, got {size}")
    count = size if isinstance(size, int) else round(size * of)
    if most < 1:
        raise DataError(
            f"{name}: {of} examples are too few to take {what} from, each part needs one; use more data, or change"
            " val, test or subset"
        )
    if not 1 <= count <= most:
        asked = f"{size}" if isinstance(size, int) else f"{size:g} ({count} examples)"
        raise DataError(
            f"{name}: {what} = {asked}, but of {of} examples it can be from 1 to {most}; change val, test or subset,"
            " or use more data"
        )
    return count


def _shuffle(rows: Index, strata: NDArray[Any] | None, seed: int, stream: int) -> Index:
    """Return ``rows`` in random order, such that each prefix has its share of each stratum.

    Only the raw 64-bit words of Philox are used: unlike ``Generator.permutation``, NumPy promises that they
    never change. Each class is spread evenly over the order from a random start: a systematic sample.
    """
    bits = np.random.Philox(np.random.SeedSequence([seed, stream]))
    order: Index = rows[np.argsort(bits.random_raw(len(rows)), kind="stable")]
    if strata is None or not len(rows):
        return order
    _, inverse, counts = np.unique(strata[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    rank = np.empty(len(rows))
    rank[by_class] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = (bits.random_raw(len(counts)) >> np.uint64(11)) * 2.0**-53
    return order[np.argsort((rank + start[inverse]) / counts[inverse], kind="stable")]
