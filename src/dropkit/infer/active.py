"""Active learning on a pool: ask which cases to label, tell the labels, train, repeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dropkit.core import ConfigError, DataError
from dropkit.infer.acquisition import bald, batch_bald, check_members, entropy, least_confidence
from dropkit.stats.inputs import Integers

Acquisition = Literal["bald", "batch-bald", "entropy", "least-confidence", "random"]
_SCORES = {"bald": bald, "entropy": entropy, "least-confidence": least_confidence}


class ActiveLearning:
    """Keeps book of a pool: what is labelled, and which cases to label next.

    Args:
        size: Number of cases in the pool.
        acquisition: How cases are chosen; ``"random"`` is what the others have to beat.
        seed: Seed of every choice that is random.
    """

    def __init__(self, size: int, *, acquisition: Acquisition = "bald", seed: int) -> None:
        if size < 1:
            raise ConfigError(f"size must be at least 1, got {size!r}")
        if acquisition not in (*_SCORES, "batch-bald", "random"):
            known = ", ".join((*_SCORES, "batch-bald", "random"))
            raise ConfigError(f"acquisition must be one of {known}, got {acquisition!r}")
        self.size, self.acquisition, self.seed = size, acquisition, seed
        self._labels: dict[int, Any] = {}
        self._rounds = 0

    @property
    def labels(self) -> Mapping[int, Any]:
        """What has been told: index -> label, in the order of telling."""
        return dict(self._labels)

    @property
    def unlabelled(self) -> Integers:
        """Indices still without a label, increasing; ``members`` of :meth:`ask` are of these, in this order."""
        return np.array([i for i in range(self.size) if i not in self._labels], dtype=np.int64)

    def ask(self, members: npt.ArrayLike | None, k: int = 1) -> Integers:
        """Return ``k`` indices into the pool to label next. Asking twice without telling gives the same.

        Args:
            members: Class probabilities of every member for the unlabelled cases, shape ``(T, N, C)``, such as
                ``dk.predict(..., keep_members=True).members``; None for ``"random"``.
            k: How many.

        Raises:
            ConfigError: Fewer than ``k`` cases are left.
            DataError: ``members`` are not of the unlabelled cases.
        """
        left = self.unlabelled
        if not 1 <= k <= len(left):
            raise ConfigError(f"k must be in 1 .. {len(left)}, the cases without a label, got {k!r}")
        generator = np.random.default_rng([self.seed, self._rounds])
        if self.acquisition == "random":
            return generator.choice(left, size=k, replace=False)
        if members is None:
            raise DataError(f"acquisition {self.acquisition!r} needs members; predict with keep_members=True")
        p = check_members(members)
        if p.shape[1] != len(left):
            raise DataError(
                f"members must be of the {len(left)} unlabelled cases, in the order of .unlabelled, got {p.shape[1]}"
            )
        if self.acquisition == "batch-bald":
            return left[batch_bald(p, k, seed=int(generator.integers(2**32)))[0]]
        scores = _SCORES[self.acquisition](p)
        order = np.lexsort((generator.random(len(left)), -scores))  # ties at random
        return left[order[:k]]

    def tell(self, indices: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        """Take the labels of cases.

        Raises:
            DataError: An index is outside the pool or labelled already, or the lengths differ; nothing is taken.
        """
        told, values = np.atleast_1d(np.asarray(indices)), np.atleast_1d(np.asarray(labels))
        if told.ndim != 1 or len(told) != len(values):
            raise DataError(f"as many labels as indices are needed, got {len(values)} and {len(told)}")
        for index in told.tolist():
            if not 0 <= index < self.size or index in self._labels:
                what = "has a label already" if index in self._labels else f"is not in 0 .. {self.size - 1}"
                raise DataError(f"case {index} {what}; tell what ask() returned, once")
        if len(set(told.tolist())) != len(told):
            raise DataError("a case occurs twice among the indices; tell what ask() returned, once")
        self._labels.update(zip(told.tolist(), values.tolist(), strict=True))
        self._rounds += 1
