"""A whole study: look before leaping, run what is missing, judge."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from dropkit import records
from dropkit.core import ConfigError
from dropkit.records import RunRecord
from dropkit.study.analyse import analyse
from dropkit.study.asking import ask
from dropkit.study.config import StudyConfig, load_config
from dropkit.study.folder import check_folder, runs_done
from dropkit.study.grid import Candidate, candidates
from dropkit.study.keeper import Keeper, last_line
from dropkit.study.preflight import Facts, preflight
from dropkit.study.progress import Observer, Silent
from dropkit.study.result import StudyResult, Survey
from dropkit.study.run import RunJob, work
from dropkit.study.schedule import run_jobs
from dropkit.study.text import config_text

# What takes a worker seconds to import: torch, and its compiler, which the first optimiser brings in.
_PRELOAD = ("dropkit.study.run", "torch._dynamo")
_FROM_SKLEARN = ("breast-cancer", "digits")  # half a second to import, which workers then need not spend


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
    check_folder(folder, study)
    facts = preflight(study, found)
    check_folder(folder, study, facts.fingerprint)
    done = runs_done(study, folder, found)
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
    check_folder(folder, study)
    facts = preflight(study, found)
    records.open_folder(folder, config_text(study), fingerprint=facts.fingerprint)
    with records.lock(folder):
        done = runs_done(study, folder, found)
        told = observer or Silent()
        try:
            _run(study, folder, found, done, workers, facts, told)
            runs = records.load_runs(folder)
            records.write_json(records.results_path(folder), analyse(study, found, runs, facts))
            ask(study, folder, workers=workers, preload=_preload(study), observer=told)
        finally:
            told.end()
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
    run_jobs(todo, work, Keeper(config, found, done, observer), workers=workers, preload=_preload(config))


def _preload(config: StudyConfig) -> list[str]:
    return [*_PRELOAD, *(["sklearn.datasets"] if config.data.name in _FROM_SKLEARN else [])]


def _run_seconds(folder: Path, done: Mapping[tuple[str, int], RunRecord], facts: Facts) -> float:
    """Return the seconds a run takes: as measured before, else by estimate."""
    timings = records.load_timings(folder)
    measured = [timings[key].seconds for key in done if key in timings]
    known = [seconds for seconds in measured if seconds is not None]
    return fmean(known) if known else facts.run_seconds
