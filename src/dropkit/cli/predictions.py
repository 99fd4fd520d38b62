"""Predictions as a table: for people, as CSV, as arrays, as JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dropkit.records import write_bytes
from dropkit.study import Sampled, intervals, log_likelihood

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Table:
    """Predictions, a row an example.

    Args:
        run: ``<plan>--<seed>``.
        data: What was asked for.
        names: Of the classes, where known.
        found: The predictions, sampled.
        fitted: Those for the validation part of a regression, to which its noise and its intervals are fitted.
        level: Of these intervals.
    """

    run: str
    data: str
    names: Sequence[str] | None
    found: Sampled
    fitted: Sampled | None
    level: float

    @cached_property
    def ends(self) -> tuple[Array, Array] | None:
        """Lower and upper ends of the intervals of a regression."""
        return None if self.fitted is None else intervals(self.fitted, self.found, self.level)

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.found.plain)

    @property
    def mean(self) -> Array:
        """What the thinned networks say together."""
        return np.asarray(self.found.mean)

    def columns(self) -> dict[str, Array]:
        """Return the columns by name, each ``(N,)``."""
        error = np.asarray(self.found.standard_error)
        target = self.found.target
        columns: dict[str, Array] = {"index": np.arange(self.count)}
        if self.ends is None:
            chosen = self.mean.argmax(axis=1)
            rows = np.arange(self.count)
            if target is not None:
                columns["label"] = self._named(target)
            return columns | {
                "prediction": self._named(chosen),
                "probability": self.mean[rows, chosen],
                "entropy": np.asarray(self.found.entropy),
                "mutual_information": np.asarray(self.found.mutual_information),
                "standard_error": error[rows, chosen],
            }
        sd = np.sqrt(np.asarray(self.found.variance))
        low, high = self.ends
        width = self.mean.shape[1]
        for k in range(width):
            end = f"_{k}" if width > 1 else ""
            if target is not None:
                columns[f"target{end}"] = target[:, k]
            columns |= {
                f"mean{end}": self.mean[:, k],
                f"sd{end}": sd[:, k],
                f"low{end}": low[:, k],
                f"high{end}": high[:, k],
                f"standard_error{end}": error[:, k],
            }
        return columns

    def uncertainty(self) -> Array:
        """Return by what rows are ordered: the entropy, or the standard deviation, of the largest column."""
        if self.ends is None:
            return np.asarray(self.found.entropy)
        return np.asarray(np.asarray(self.found.variance).max(axis=1))

    def summary(self) -> list[str]:
        """Return lines that compare scaled weights with the sampled mean, or say why they cannot."""
        if self.found.target is None:
            missing = "labels are not known, so there is no accuracy"
            return [missing if self.ends is None else "targets are not known, so there is no error"]
        scores = self.metrics()
        heads = {name: f"{name.replace('_', '-'):>10}" for name in scores["scaled weights"]}
        width = max(len(name) for name in scores)
        lines = [
            "  ".join([" " * width, *heads.values()]),
            *(
                "  ".join([f"{label:<{width}}", *(f"{values[k]:{len(heads[k])}.4f}" for k in heads)])
                for label, values in scores.items()
            ),
        ]
        if self.ends is not None:
            lines.append(f"{self.coverage():.1%} of the targets lie in their {self.level:.0%} intervals")
        return lines

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return metrics of both, where labels are known."""
        if self.found.target is None:
            return {}
        return {"scaled weights": self._metrics("plain"), "Monte Carlo": self._metrics("mean")}

    def _metrics(self, which: Literal["plain", "mean"]) -> dict[str, float]:
        found = self.found.metrics(which)
        if self.fitted is not None:
            found["log_likelihood"] = log_likelihood(self.fitted, self.found, which)
        return found

    def coverage(self) -> float:
        """Return the share of targets that lie in their intervals."""
        low, high = self.ends or (np.zeros(0), np.zeros(0))
        target = np.asarray(self.found.target)
        return float(((low <= target) & (target <= high)).mean())

    def least_certain(self, count: int) -> tuple[list[str], list[list[str]]]:
        """Return heads and rows of the ``count`` least certain."""
        columns = self.columns()
        rows = np.argsort(-self.uncertainty(), kind="stable")[:count]
        return list(columns), [[_cell(values[row]) for values in columns.values()] for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the full probabilities; what is not finite is None."""
        columns = {name: values.tolist() for name, values in self.columns().items()}
        rows = [
            dict(zip(columns, map(_plain, row), strict=True)) for row in zip(*columns.values(), strict=True)
        ]
        found: dict[str, Any] = {
            "run": self.run,
            "data": self.data,
            "members": self.found.members,
            "mode": self.found.mode,
            "metrics": {
                name: {k: _plain(v) for k, v in values.items()} for name, values in self.metrics().items()
            },
        }
        if self.ends is not None:
            found |= {"level": self.level}
            found |= {"coverage": self.coverage()} if self.found.target is not None else {}
        return found | {"rows": rows}

    def _named(self, labels: Array) -> Array:
        return labels if self.names is None else np.array(self.names)[labels]


def save_csv(path: Path, table: Table) -> None:
    """Write all rows."""
    columns = table.columns()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    write_bytes(path, text.getvalue().encode())


def save_npz(path: Path, table: Table) -> None:
    """Write all columns as arrays, and mean, variance and scaled-weight outputs whole."""
    found = table.found
    whole = {"mean": table.mean, "variance": np.asarray(found.variance), "scaled_weights": found.plain}
    columns = {name: values for name, values in table.columns().items() if name not in whole}
    content = io.BytesIO()
    np.savez_compressed(content, **columns, **whole)  # type: ignore[arg-type]
    write_bytes(path, content.getvalue())


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
