"""Active learning on a pool: ask which cases to label, tell the labels, train, repeat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dropkit.core import ConfigError, DataError, whole_number
from dropkit.infer.acquisition import bald, batch_bald, check_members, entropy, least_confidence
from dropkit.stats.inputs import Integers, as_array

Acquisition = Literal["bald", "batch-bald", "entropy", "least-confidence", "random"]
_SCORES = {"bald": bald, "entropy": entropy, "least-confidence": least_confidence}


class ActiveLearning:
    """Keeps book of a pool: what is labelled, and which cases to label next.

    A person may drive it over days: ``state_dict`` is plain data for a JSON file, and a new object that loads it asks
    what the old one would have asked.

    Args:
        size: Number of cases in the pool, at least 1.
        acquisition: How cases are chosen; ``"random"`` is what the others have to beat.
        seed: Seed of every choice that is random, at least 0.

    Raises:
        ConfigError: An argument is none of these.
    """

    def __init__(self, size: int, *, acquisition: Acquisition = "bald", seed: int) -> None:
        for name, value, least in (("size", size, 1), ("seed", seed, 0)):
            number = whole_number(value)
            if number is None or number < least:
                got = (
                    repr(value)
                    if isinstance(value, int | float | str | None)
                    else f"a {type(value).__name__}"
                )
                raise ConfigError(f"{name} must be a whole number of at least {least}, got {got}")
        if acquisition not in (*_SCORES, "batch-bald", "random"):
            known = ", ".join((*_SCORES, "batch-bald", "random"))
            raise ConfigError(f"acquisition must be one of {known}, got {acquisition!r}")
        self.size, self.acquisition, self.seed = int(size), acquisition, int(seed)
        self._labels: dict[int, Any] = {}
        self._rounds = 0

    def __repr__(self) -> str:
        """Show how far it is."""
        return (
            f"ActiveLearning(size={self.size}, acquisition={self.acquisition!r}, seed={self.seed}; "
            f"{len(self._labels)} labelled)"
        )

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
        if len(left) == 0:
            raise ConfigError("no case of the pool is left without a label; there is nothing to ask")
        if k != int(k) or not 1 <= k <= len(left):
            raise ConfigError(f"k must be in 1 .. {len(left)}, the cases without a label, got {k!r}")
        generator = np.random.default_rng([self.seed, self._rounds])
        if self.acquisition == "random":
            return generator.choice(left, size=int(k), replace=False)
        if members is None:
            raise DataError(f"acquisition {self.acquisition!r} needs members; predict with keep_members=True")
        cases = check_members(members).shape[1]
        if cases != len(left):
            raise DataError(
                f"members must be of the {len(left)} unlabelled cases, in the order of .unlabelled, got {cases}"
            )
        if self.acquisition == "batch-bald":
            return left[batch_bald(members, k, seed=int(generator.integers(2**32)))[0]]
        scores = _SCORES[self.acquisition](members)
        order = np.lexsort((generator.random(len(left)), -scores))  # ties at random
        return left[order[: int(k)]]

    def tell(self, indices: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        """Take the labels of cases, which need not have been asked for: a pool may start with some.

        Args:
            indices: Of cases without a label, shape ``(n,)`` or a single one.
            labels: As many, of any kind.

        Raises:
            DataError: An index is outside the pool or labelled already, or the lengths differ; nothing is taken.
        """
        told = np.atleast_1d(as_array(indices, "indices"))
        values = np.atleast_1d(as_array(labels, "labels"))
        if told.ndim != 1 or len(told) != len(values):
            raise DataError(f"as many labels as indices are needed, got {len(values)} and {len(told)}")
        if len(told) == 0:
            return
        if not np.issubdtype(told.dtype, np.integer):
            raise DataError(f"indices must be whole numbers, as ask() returns them, got {told.dtype}")
        self._labels = self._joined(self._labels, zip(told.tolist(), values.tolist(), strict=True))
        self._rounds += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what has been told, and how far choices at random have come, as plain data."""
        return {
            "size": self.size,
            "acquisition": self.acquisition,
            "seed": self.seed,
            "rounds": self._rounds,
            "labels": [[index, label] for index, label in self._labels.items()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another one was.

        Args:
            state: What :meth:`state_dict` of one with the same size, acquisition and seed returned.

        Raises:
            DataError: The state is another one's, or damaged; nothing is taken.
        """
        expected = self.state_dict()
        if set(state) != set(expected):
            raise DataError(
                f"the state must have {', '.join(expected)}, got {', '.join(map(str, state)) or 'nothing'}"
            )
        for name in ("size", "acquisition", "seed"):
            if state[name] != expected[name]:
                raise DataError(f"the state is of {name} {state[name]!r}, this pool has {expected[name]!r}")
        self._labels = self._joined({}, state["labels"])
        self._rounds = int(state["rounds"])

    def _joined(self, known: Mapping[int, Any], told: Iterable[tuple[int, Any]]) -> dict[int, Any]:
        labels = dict(known)
        for index, label in told:
            if not 0 <= index < self.size:
                raise DataError(
                    f"case {index} is not in 0 .. {self.size - 1}; tell what ask() returned, once"
                )
            if index in labels:
                what = "has a label already" if index in known else "occurs twice among the indices"
                raise DataError(f"case {index} {what}; tell what ask() returned, once")
            labels[index] = label
        return labels
