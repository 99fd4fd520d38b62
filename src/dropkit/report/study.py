"""What a report knows: the records of one folder, brought together."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from dropkit.core import FolderError
from dropkit.records import (
    PlanResult,
    PredictionRecord,
    Results,
    RunRecord,
    StudyInfo,
    Timing,
    load_predictions,
    load_runs,
    load_timings,
    read_config,
    read_results,
    read_study,
    results_path,
)
from dropkit.report.unfinished import mean, number, points, unfinished
from dropkit.stats import LARGER_IS_BETTER


@dataclass(frozen=True)
class Study:
    """The records of one study.

    Args:
        folder: Where they are.
        config_text: Its configuration, exactly.
        config: The same, parsed.
        info: Versions and digest.
        results: Its answer; one without a verdict, made from the runs there are, if it is not finished.
        finished: Whether it has an answer.
        runs: By name of the run files and seed.
        timings: Likewise.
        predictions: Likewise.
    """

    folder: Path
    config_text: str
    config: Mapping[str, Any]
    info: StudyInfo
    results: Results
    finished: bool
    runs: Mapping[tuple[str, int], RunRecord]
    timings: Mapping[tuple[str, int], Timing]
    predictions: Mapping[tuple[str, int], PredictionRecord]

    @property
    def name(self) -> str:
        """The study's name."""
        return self.results.name or str(self.config.get("name") or self.folder.name)

    @property
    def metric(self) -> str:
        """What is compared."""
        return self.results.metric

    @property
    def larger_is_better(self) -> bool:
        """Direction of the metric."""
        known = self.results.larger_is_better
        return LARGER_IS_BETTER.get(self.metric, False) if known is None else known

    @property
    def plans(self) -> list[str]:
        """The baseline, then the others: the best one first, the rest in the order of the configuration."""
        first = [self.results.baseline, *([self.results.best] if self.results.best else [])]
        order = [*first, *(name for name in self.config.get("plans", {})), *self.results.plans]
        return [name for name in dict.fromkeys(order) if name in self.results.plans]

    @property
    def others(self) -> list[str]:
        """All plans but the baseline."""
        return [name for name in self.plans if name != self.results.baseline]

    def row(self, plan: str) -> PlanResult:
        """Return the plan's row of the results."""
        return self.results.plans[plan]

    def baseline_mean(self, plan: str) -> float | None:
        """Return the baseline's mean over the seeds at which ``plan`` is compared with it."""
        base, seeds = self.row(self.results.baseline), self.row(plan).seeds
        if base.values is None or base.seeds is None or seeds is None:
            return base.mean
        return mean(
            [x for at, x in zip(base.seeds, base.values, strict=True) if at in seeds and x is not None]
        )

    def runs_of(self, plan: str) -> list[RunRecord]:
        """Return the runs that stand for ``plan``, those of its chosen candidate, by seed."""
        name = self.row(plan).chosen or plan
        return [run for (candidate, _), run in self.runs.items() if candidate == name]

    def ok_runs(self, plan: str) -> list[RunRecord]:
        """Return those of :meth:`runs_of` that ended well."""
        return [run for run in self.runs_of(plan) if run.status == "ok"]

    def asked(self) -> dict[str, PredictionRecord]:
        """Return the predictions of the baseline and of the best plan, at the first seed at which there are any."""
        found: dict[str, PredictionRecord] = {}
        for plan in self.plans[: 2 if self.results.best else 1]:
            name = self.row(plan).chosen or plan
            records = [record for (candidate, _), record in self.predictions.items() if candidate == name]
            found |= {plan: records[0]} if records else {}
        return found

    def lost(self, status: str) -> list[RunRecord]:
        """Return all runs, of any candidate, with this status."""
        return [run for run in self.runs.values() if run.status == status]

    @cached_property
    def expected(self) -> int | None:
        """How many runs the configuration asks for, or None if that cannot be told."""
        seeds, plans = self.config.get("seeds"), self.config.get("plans")
        number = seeds if isinstance(seeds, int) else len(seeds) if isinstance(seeds, list) else None
        if number is None or not isinstance(plans, dict):
            return None
        return number * sum(points(plan) for plan in plans.values())

    @property
    def missing(self) -> int:
        """Runs that are asked for and not there."""
        return max(0, (self.expected or 0) - len(self.runs))

    def metrics(self) -> list[str]:
        """Return the scalar metrics of the test part: the study's first, then as they come."""
        names = [
            name for run in self.lost("ok") for name, found in run.test.items() if not isinstance(found, dict)
        ]
        return [name for name in dict.fromkeys([self.metric, *names]) if name in names]

    def tests(self, plan: str, metric: str) -> list[float]:
        """Return the finite values of ``metric`` on the test part, by seed."""
        return [found for run in self.ok_runs(plan) if (found := number(run.test.get(metric))) is not None]

    def per_class(self, plan: str, measure: str) -> list[float | None]:
        """Return the mean over the seeds of ``measure`` for each class; empty if it was not recorded."""
        tables = [run.test.get("per_class") for run in self.ok_runs(plan)]
        lists = [table[measure] for table in tables if isinstance(table, dict) and measure in table]
        if not lists or len({len(one) for one in lists}) != 1:
            return []
        return [mean([x for x in column if x is not None]) for column in zip(*lists, strict=True)]

    def trained(self, plan: str, metric: str) -> float | None:
        """Return the mean of ``metric`` on the training part with the weights that were tested."""
        values = [number(tested(run).train.get(metric)) for run in self.ok_runs(plan) if run.epochs]
        return mean([found for found in values if found is not None])

    def step_seconds(self, plan: str) -> float | None:
        """Return the median over the runs of the time a training step took."""
        name = self.row(plan).chosen or plan
        steps = [time.step_seconds for (candidate, _), time in self.timings.items() if candidate == name]
        known = [step for step in steps if step is not None]
        return median(known) if known else None

    def cost(self, plan: str) -> float | None:
        """Return the time of a step over that of the baseline."""
        own, base = self.step_seconds(plan), self.step_seconds(self.results.baseline)
        return own / base if own is not None and base else None


def tested(run: RunRecord) -> Any:
    """Return the epoch whose weights were tested."""
    return run.epochs[(run.best_epoch or len(run.epochs)) - 1]


def load(folder: str | os.PathLike[str]) -> Study:
    """Read the study in ``folder``, finished or not.

    Raises:
        FolderError: It is no study's folder, or one of its files is missing or damaged.
    """
    path = Path(folder)
    info, text = read_study(path), read_config(path)
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FolderError(f"{path / 'config.toml'} is damaged ({error}); restore it") from None
    runs = load_runs(path)
    finished = results_path(path).exists()
    results = read_results(path) if finished else unfinished(path, config, runs)
    return Study(
        path, text, config, info, results, finished, runs, load_timings(path), load_predictions(path)
    )
