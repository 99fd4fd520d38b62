"""A whole study: look before leaping, run what is missing, judge."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from dropkit import records
from dropkit.core import ConfigError, FolderError
from dropkit.records import PlanResult, Results, RunRecord
from dropkit.study.analyse import analyse
from dropkit.study.config import StudyConfig, config_text, load_config
from dropkit.study.grid import Candidate, candidates
from dropkit.study.keeper import Keeper, last_line
from dropkit.study.preflight import Facts, preflight
from dropkit.study.progress import Observer, Silent
from dropkit.study.run import RunJob, work
from dropkit.study.schedule import run_jobs

# What takes a worker seconds to import: torch, and its compiler, which the first optimiser brings in.
_PRELOAD = ("dropkit.study.run", "torch._dynamo")
_FROM_SKLEARN = ("breast-cancer", "digits")  # half a second to import, which workers then need not spend


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What a study found.

    Args:
        path: Its folder.
        results: Everything in its ``results.json``.
        failed: The runs that failed, ``plan--seed``, each with a line that says why.
    """

    path: Path
    results: Results
    failed: Mapping[str, str]

    @property
    def verdict(self) -> str:
        """``"helped"``, ``"hurt"``, ``"no difference"`` or ``"incomplete"``: the verdict of the best plan."""
        return self.results.verdict

    @property
    def best(self) -> str | None:
        """The plan, other than the baseline, that is best on validation; None if none can be judged."""
        return self.results.best

    @property
    def plans(self) -> Mapping[str, PlanResult]:
        """The result of each plan, by name."""
        return self.results.plans


@dataclass(frozen=True, slots=True)
class Survey:
    """What a study would do.

    Args:
        runs: Runs in all.
        done: Of those, the ones that a folder has already.
        plans: Plans.
        candidates: Plans with their lists of rates spelled out.
        seeds: Seeds.
        train: Examples to train on.
        val: Examples to choose by.
        test: Examples to judge by.
        seconds: Estimate of the time left.
    """

    runs: int
    done: int
    plans: int
    candidates: int
    seeds: int
    train: int
    val: int
    test: int
    seconds: float

    @property
    def todo(self) -> int:
        """Runs left to do."""
        return self.runs - self.done

    @property
    def text(self) -> str:
        """The counts in words."""
        grid = "" if self.plans == self.candidates else f" in {self.candidates} candidates"
        done = f", {self.done} of them done" if self.done else ""
        sizes = f"{self.train} train, {self.val} validation, {self.test} test"
        return f"{self.runs} runs: {self.plans} plans{grid}, {self.seeds} seeds{done}; data: {sizes}"

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and ``todo``."""
        return asdict(self) | {"todo": self.todo}


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def survey(
    config: StudyConfig | Mapping[str, Any] | str | Path | None,
    *,
    out: str | os.PathLike[str],
    workers: int | None = None,
) -> Survey:
    """Check everything that :func:`run_study` would check, and say what it would do; nothing is written.

    Raises:
        InputError: As for :func:`run_study`.
    """
    study, folder, workers = load_config(config), Path(out), _workers(workers)
    found = candidates(study)
    _check_folder(folder, study)
    facts = preflight(study, found)
    done = _done(study, folder, found)
    runs = len(found) * len(study.seeds)
    seconds = _run_seconds(folder, done, facts) * math.ceil((runs - len(done)) / workers)
    return Survey(runs, len(done), len(study.plans), len(found), len(study.seeds), *facts.sizes, seconds)


def run_study(
    config_or_path: StudyConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    out: str | os.PathLike[str],
    workers: int | None = None,
    observer: Observer | None = None,
) -> StudyResult:
    """Run a study: every plan at every seed, then the verdict; ``dropkit.run_study`` adds the report.

    Everything that can be known to fail is tried first, before anything is written. Then the runs that ``out``
    does not hold yet are done, each in a process of its own with one thread. A run that diverged is kept as it is,
    one that failed is tried again. Interrupted at any moment, the same call goes on where it stopped and ends with
    the same bytes in ``out/runs``. Relative paths in the configuration start from the working directory.

    Args:
        config_or_path: A configuration, a mapping with the tables of the file, the path of a TOML file, or the name
            of a built-in study; None is ``"digits"``.
        out: The study's folder, made if need be; it belongs to this configuration alone.
        workers: Processes at a time, ``>= 1``. Default: the cores that this process may use.
        observer: Told about the progress. Default: nobody is.

    Returns:
        Verdict, plans, the best of them, and the folder. A failed run makes the verdict "incomplete".

    Raises:
        ConfigError: The configuration has an unknown key or an illegal value, or contradicts model or data.
        PlanError: A rule is wrong or matches nothing.
        DataError: The data is missing, damaged or unusable.
        FolderError: ``out`` is another study's, is used by another study now, is damaged, or cannot be written.
    """
    study, folder, workers = load_config(config_or_path), Path(out), _workers(workers)
    found = candidates(study)
    _check_folder(folder, study)
    facts = preflight(study, found)
    records.open_folder(folder, config_text(study))
    with records.lock(folder):
        done = _done(study, folder, found)
        _run(study, folder, found, done, workers, facts, observer or Silent())
        runs = records.load_runs(folder)
        records.write_json(records.results_path(folder), analyse(study, found, runs, facts))
    failed = {
        f"{name}--{seed}": last_line(run.error)
        for (name, seed), run in runs.items()
        if run.status == "failed"
    }
    return StudyResult(folder, records.read_results(folder), failed)


def _workers(workers: int | None) -> int:
    if workers is None:
        return default_workers()
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigError(f"workers must be a whole number of at least 1, got {workers!r}")
    return workers


def _check_folder(folder: Path, config: StudyConfig) -> None:
    """Refuse another study's folder before the preflight takes its time; ``records`` looks closer when it opens it."""
    if not (folder / "study.json").exists():
        return
    if records.read_study(folder).config_sha256 != records.config_sha256(config_text(config)):
        raise FolderError(
            f"{folder} belongs to a study with another config ({folder / 'config.toml'}); choose another --out, or "
            "use the config it began with"
        )


def _done(config: StudyConfig, folder: Path, found: Sequence[Candidate]) -> dict[tuple[str, int], RunRecord]:
    """Return the runs that need not be done again: all there are but the failed ones.

    Raises:
        FolderError: A file in ``runs`` is damaged, or is not of this study.
    """
    expected = {(candidate.name, seed) for candidate in found for seed in config.seeds}
    settings, kept = config.train_config(), {}
    for key, run in records.load_runs(folder).items():
        path = records.run_path(folder, *key)
        if key not in expected:
            raise FolderError(
                f"{path} is not a run of this study, which has no such plan and seed; move it elsewhere"
            )
        whole = (
            len(run.epochs) == settings.epochs
            if settings.patience is None
            else len(run.epochs) <= settings.epochs
        )
        if run.status == "ok" and not (whole and config.metric in run.test):
            raise FolderError(
                f"{path} is a run of another study (its epochs or metrics differ); delete it and try again"
            )
        if run.status != "failed":
            kept[key] = run
    return kept


def _run(
    config: StudyConfig,
    folder: Path,
    found: Sequence[Candidate],
    done: Mapping[tuple[str, int], RunRecord],
    workers: int,
    facts: Facts,
    observer: Observer,
) -> None:
    """Do the runs that are missing, all plans of a seed together, so that pairs are complete early."""
    todo = [
        RunJob(config, candidate, seed, folder)
        for seed in config.seeds
        for candidate in found
        if (candidate.name, seed) not in done
    ]
    seconds = _run_seconds(folder, done, facts) * math.ceil(len(todo) / workers)
    observer.begin(len(todo) + len(done), len(done), seconds)
    preload = [*_PRELOAD, *(["sklearn.datasets"] if config.data.name in _FROM_SKLEARN else [])]
    try:
        run_jobs(todo, work, Keeper(config, found, done, observer), workers=workers, preload=preload)
    finally:
        observer.end()


def _run_seconds(folder: Path, done: Mapping[tuple[str, int], RunRecord], facts: Facts) -> float:
    """Return the seconds a run takes: as measured before, else by estimate."""
    timings = records.load_timings(folder)
    measured = [timings[key].seconds for key in done if key in timings]
    known = [seconds for seconds in measured if seconds is not None]
    return fmean(known) if known else facts.run_seconds
