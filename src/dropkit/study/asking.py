"""What the best plan and the baseline say about each example of the test part, recorded for the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dropkit import records
from dropkit.core import FolderError, NoMatchError, PlanError
from dropkit.records import Answers, PredictionRecord
from dropkit.study.config import StudyConfig
from dropkit.study.keeper import last_line
from dropkit.study.observed import central_levels, log_likelihood
from dropkit.study.pictures import pictures
from dropkit.study.progress import Observer
from dropkit.study.reopen import Reopened, best_candidates, reopen
from dropkit.study.sampled import Sampled, sample
from dropkit.study.schedule import Send, run_jobs

MEMBERS = 50
SHOWN = 8  # pictures of each kind


@dataclass(frozen=True, slots=True)
class AskJob:
    """A finished run to be asked.

    Args:
        folder: The study's.
        plan: The run's candidate.
        seed: The run's.
    """

    folder: Path
    plan: str
    seed: int


def ask(
    config: StudyConfig, folder: Path, *, workers: int, preload: Sequence[str], observer: Observer
) -> None:
    """Record the predictions of the best plan and of the baseline, at the first seed at which both have weights.

    What is there already stays. Without weights, or without a best plan, nothing is done.
    """
    names = [name for name in best_candidates(folder) if name is not None]
    seed = next((seed for seed in config.seeds if all(_has(folder, name, seed) for name in names)), None)
    if len(names) < 2 or seed is None:
        return
    jobs = [AskJob(folder, name, seed) for name in names if not _asked(folder, name, seed)]
    if jobs:
        observer.asking([f"{job.plan}--{job.seed}" for job in jobs])
    run_jobs(jobs, work, _Watcher(), workers=workers, preload=preload)


def work(job: AskJob, send: Send) -> None:
    """Ask a run and write its predictions: one thread, members one by one, so that equal runs give equal bytes."""
    torch.set_num_threads(1)
    with reopen(job.folder, job.plan, job.seed) as run:
        reason = None
        try:
            found = _sample(run, run.data.test, MEMBERS)
        except (NoMatchError, PlanError) as error:
            found = _sample(run, run.data.test, 0)
            reason = str(error) if run.candidate.rules or run.candidate.ready else None
        record = _record(run, found, reason)
    records.write_json(records.prediction_path(job.folder, job.plan, job.seed), record)


def _sample(run: Reopened, part: Dataset[Any], members: int) -> Sampled:
    return sample(run, part, members=members, mode="loop", keep_members=run.data.task == "regression")


class _Watcher:
    """Records why a run could not be asked."""

    def started(self, job: AskJob) -> None:
        """Nothing."""

    def told(self, job: AskJob, message: Any) -> None:
        """Nothing."""

    def ended(self, job: AskJob, error: str | None) -> None:
        """Write a record without answers if it failed."""
        if error is not None:
            failed = PredictionRecord(plan=job.plan, seed=job.seed, reason=last_line(error))
            records.write_json(records.prediction_path(job.folder, job.plan, job.seed), failed)


def _has(folder: Path, plan: str, seed: int) -> bool:
    return records.weights_path(folder, plan, seed).exists()


def _asked(folder: Path, plan: str, seed: int) -> bool:
    try:
        return records.read_predictions(records.prediction_path(folder, plan, seed)).plain is not None
    except FolderError:
        return False


def _record(run: Reopened, found: Sampled, reason: str | None) -> PredictionRecord:
    classes = run.data.task == "classification"
    fitted = None if classes else _sample(run, run.data.val, found.members)
    plain = _answers(found, "plain", fitted)
    sampled = None if found.mean is None else _answers(found, "mean", fitted)
    judged = sampled or plain
    rows = _telling(judged) if run.data.image and classes else []
    return PredictionRecord(
        plan=run.candidate.name,
        seed=run.seed,
        members=0 if sampled is None else found.members,
        label=np.asarray(found.target).tolist() if classes else [],
        plain=plain,
        sampled=sampled,
        reason=reason,
        pictures=pictures(run.data.test, rows),
    )


def _answers(found: Sampled, which: Any, fitted: Sampled | None) -> Answers:
    values = found.plain if which == "plain" or found.mean is None else found.mean
    target = np.asarray(found.target)
    metrics: dict[str, float | None] = {name: _round(value) for name, value in found.metrics(which).items()}
    if fitted is not None:
        metrics["log_likelihood"] = _finite(log_likelihood(fitted, found, which))
    sampled = which == "mean"
    if target.ndim > 1:
        uncertainty = {}
        if sampled and found.variance is not None:
            uncertainty["sd"] = _rounded(np.sqrt(found.variance.mean(axis=1)))
        return Answers(
            loss=_rounded(np.square(values - target).mean(axis=1)),
            level=_rounded(central_levels(fitted, found, which).ravel()) if fitted is not None else [],
            uncertainty=uncertainty,
            metrics=metrics,
        )
    predicted = values.argmax(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(values > 0, values * np.log(values), 0.0).sum(axis=1)
    uncertainty = {"entropy": _rounded(np.abs(entropy))}
    if sampled and found.mutual_information is not None:
        uncertainty["mutual information"] = _rounded(found.mutual_information)
    return Answers(
        loss=(predicted != target).astype(float).tolist(),
        predicted=predicted.tolist(),
        confidence=_rounded(values.max(axis=1)),
        uncertainty=uncertainty,
        metrics=metrics,
    )


def _telling(answers: Answers) -> list[int]:
    """Return the rows whose pictures the report shows: least certain, most certain, and the surest mistakes."""
    order = np.argsort(np.asarray(answers.uncertainty["entropy"]), kind="stable")
    wrong = order[np.asarray(answers.loss)[order] > 0]
    return sorted({int(row) for rows in (order[:SHOWN], order[-SHOWN:], wrong[:SHOWN]) for row in rows})


def _rounded(values: NDArray[Any]) -> list[float]:
    return [_round(value) for value in values.tolist()]


def _finite(value: float) -> float | None:
    return _round(value) if math.isfinite(value) else None


def _round(value: float) -> float:
    return float(f"{value:.6g}")
