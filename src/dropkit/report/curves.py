"""Learning curves as data: median and spread over the seeds for each plan, part of the data and metric."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dropkit.records import RunRecord
from dropkit.report.numbers import is_share, label
from dropkit.report.study import Study
from dropkit.report.unfinished import number

#: The band is from the first to the second of these percentiles.
BAND = (10, 90)
_POINTS = 200  # epochs shown at most: more would be finer than a screen
_PARTS = ("train", "val")


def curves(study: Study) -> dict[str, Any]:
    """Return everything that the page needs to draw the curves, or an empty dict if no run has an epoch.

    ``series[metric][part][plan]`` is ``[median, low, high]``, each a list with one entry for each of ``epochs``, in
    the order of ``plans``. Only runs that ended well count; those that stopped early do up to their last epoch.
    """
    runs = {plan: [run for run in study.ok_runs(plan) if run.epochs] for plan in study.plans}
    length = max((len(run.epochs) for group in runs.values() for run in group), default=0)
    if not length:
        return {}
    shown = np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round().astype(int))
    metrics = _metrics(study, [run for group in runs.values() for run in group])
    return {
        "epochs": [int(epoch) + 1 for epoch in shown],
        "plans": study.plans,
        "metrics": [{"name": name, "label": label(name), "share": is_share(name)} for name in metrics],
        "series": {
            metric: {
                part: [_band(_table(runs[plan], part, metric, length)[:, shown]) for plan in study.plans]
                for part in _PARTS
            }
            for metric in metrics
        },
    }


def last_values(study: Study, part: str, plan: str) -> float | None:
    """Return the median over the seeds of the study's metric after a run's last epoch."""
    values = [
        number(getattr(run.epochs[-1], part).get(study.metric)) for run in study.ok_runs(plan) if run.epochs
    ]
    known = [found for found in values if found is not None]
    return float(np.median(known)) if known else None


def _metrics(study: Study, runs: list[RunRecord]) -> list[str]:
    names = dict.fromkeys(
        name
        for run in runs
        for part in _PARTS
        for name, found in getattr(run.epochs[0], part).items()
        if not isinstance(found, dict)
    )
    first = [name for name in (study.metric, "loss") if name in names]
    return list(dict.fromkeys([*first, *names]))


def _table(runs: list[RunRecord], part: str, metric: str, length: int) -> npt.NDArray[np.float64]:
    """Return values of shape (runs, epochs), NaN where there is none."""
    table = np.full((len(runs), length), np.nan)
    for index, run in enumerate(runs):
        for at, epoch in enumerate(run.epochs):
            found = number(getattr(epoch, part).get(metric))
            if found is not None:
                table[index, at] = found
    return table


def _band(table: npt.NDArray[np.float64]) -> list[list[float | None]]:
    """Return median, low and high of each column, None where it is empty, in five digits."""
    found = np.full((3, table.shape[1]), np.nan)
    some = ~np.isnan(table).all(axis=0)
    if some.any():
        found[:, some] = np.nanpercentile(table[:, some], [50, *BAND], axis=0)
    return [[None if np.isnan(x) else float(f"{x:.5g}") for x in line] for line in found]
