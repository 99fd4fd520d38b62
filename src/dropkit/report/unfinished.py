"""A study that is not finished: its means so far, without a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from dropkit.core import FolderError
from dropkit.records import PlanResult, Results, RunRecord


def unfinished(path: Path, config: Mapping[str, Any], runs: Mapping[tuple[str, int], RunRecord]) -> Results:
    """Return the means there are, without a verdict."""
    metric, baseline, plans = config.get("metric"), config.get("baseline"), config.get("plans")
    if (
        not isinstance(metric, str)
        or not isinstance(plans, dict)
        or not isinstance(baseline, str)
        or baseline not in plans
    ):
        raise FolderError(f"{path / 'config.toml'} names no metric, no plans or no baseline; restore it")
    candidates = dict.fromkeys(candidate for candidate, _ in runs)
    rows: dict[str, PlanResult] = {}
    for plan in plans:
        names = [name for name in candidates if name.partition("@")[0] == plan] or [plan]
        names = [plan, *names] if plan == baseline and plan not in names else names
        rows |= {
            name: _row([run for (found, _), run in runs.items() if found == name], metric) for name in names
        }
    return Results(baseline=baseline, best=None, metric=metric, verdict="incomplete", plans=rows)


def _row(runs: list[RunRecord], metric: str) -> PlanResult:
    found = [(run.seed, number(run.test.get(metric))) for run in runs if run.status == "ok"]
    pairs = [(seed, test) for seed, test in found if test is not None]
    tests = [test for _, test in pairs]
    return PlanResult(
        mean=mean(tests),
        sd=stdev(tests) if len(tests) > 1 else None,
        n=len(tests),
        seeds=[seed for seed, _ in pairs],
        values=list(tests),
        diverged=sum(run.status == "diverged" for run in runs),
        failed=sum(run.status == "failed" for run in runs),
    )


def points(plan: object) -> int:
    """Return how many candidates a plan has: the product of the lengths of its lists of rates."""
    parts = [*plan.get("rules", []), *plan.get("own_rates", [])] if isinstance(plan, dict) else []
    rates = [part.get("rate") for part in parts if isinstance(part, dict)]
    return math.prod(len(rate) for rate in rates if isinstance(rate, list))


def number(found: object) -> float | None:
    """Return ``found`` if it is a finite number."""
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def mean(values: list[float]) -> float | None:
    """Return the mean of ``values`` if there are any."""
    return fmean(values) if values else None
