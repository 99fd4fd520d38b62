"""The folders of the benchmark: a table, its grid, and the rows of each split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Table:
    """One data set; ``rates`` and ``taus`` are the grid to choose from."""

    name: str
    folder: Path
    x: np.ndarray
    y: np.ndarray
    rates: list[float]
    taus: list[float]
    splits: int

    def rows(self, part: str, split: int) -> np.ndarray:
        """Return the row numbers of the ``"train"`` or ``"test"`` part of a split."""
        return np.loadtxt(self.folder / f"index_{part}_{split}.txt").astype(int)


def load(root: Path, name: str) -> Table:
    """Read a set from the authors' ``UCI_Datasets``, with or without the folder ``data`` that theirs have."""
    folder = root / name / "data" if (root / name / "data").is_dir() else root / name
    data = np.loadtxt(folder / "data.txt")
    features, target = (
        np.loadtxt(folder / f"index_{name}.txt").astype(int) for name in ("features", "target")
    )
    rates, taus = (
        np.loadtxt(folder / f"{name}.txt", ndmin=1).tolist() for name in ("dropout_rates", "tau_values")
    )
    splits = int(np.loadtxt(folder / "n_splits.txt"))
    return Table(name, folder, data[:, features], data[:, int(target)], sorted(rates), sorted(taus), splits)


@dataclass(frozen=True)
class Parts:
    """What is learned from and what is looked at, of S splits, standardised by the first; ``std`` is the targets'."""

    x: Tensor  # (S, N, d)
    y: Tensor  # (S, N)
    other_x: Tensor  # (S, R, d)
    other_y: Tensor  # (S, R)
    std: Tensor  # (S,), float64


def standardised(table: Table, pairs: list[tuple[np.ndarray, np.ndarray]]) -> Parts:
    """Return the rows to learn from and the others of each split; within a data set all splits are of one size."""
    columns: list[list[np.ndarray]] = [[], [], [], []]
    stds = []
    for train, other in pairs:
        x, y = table.x[train], table.y[train]
        deviation = x.std(axis=0)
        deviation[deviation == 0] = 1.0
        scale = y.std()
        for column, value in zip(
            columns,
            (
                (x - x.mean(axis=0)) / deviation,
                (y - y.mean()) / scale,
                (table.x[other] - x.mean(axis=0)) / deviation,
                (table.y[other] - y.mean()) / scale,
            ),
            strict=True,
        ):
            column.append(value)
        stds.append(scale)
    stacked = [torch.from_numpy(np.stack(column)).float() for column in columns]
    return Parts(*stacked, torch.tensor(stds, dtype=torch.float64))
