"""The parent's side of the runs: keeps a record of those that failed, and tells the observer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dropkit import records
from dropkit.core import FolderError
from dropkit.records import RunRecord
from dropkit.study.choice import gather
from dropkit.study.config import StudyConfig
from dropkit.study.grid import Candidate
from dropkit.study.progress import Observer
from dropkit.study.run import RunJob
from dropkit.study.standing import Standing


class Keeper:
    """Watches the scheduler.

    Args:
        config: The study.
        candidates: Its candidates.
        done: Runs done before, for the standing.
        observer: Told what happens.
    """

    def __init__(
        self,
        config: StudyConfig,
        candidates: Sequence[Candidate],
        done: Mapping[tuple[str, int], RunRecord],
        observer: Observer,
    ) -> None:
        self._observer = observer
        self._standing = Standing(config, candidates)
        self._last: dict[str, float] = {}
        for candidate in candidates:
            for seed, outcome in gather(config, candidate, done).outcomes.items():
                self._standing.note(candidate.name, seed, outcome.val)

    def started(self, job: RunJob) -> None:
        """Pass it on."""
        self._observer.started(job.name)

    def told(self, job: RunJob, message: Any) -> None:
        """Pass on how far the run is."""
        epoch, epochs, value = message
        self._last[job.name] = value
        self._observer.epoch(job.name, epoch, epochs, value)

    def ended(self, job: RunJob, error: str | None) -> None:
        """Make sure that the run has a record, and pass on how it ended."""
        run = self._record(job, error)
        self._observer.ended(job.name, run.status, last_line(run.error) if run.status == "failed" else None)
        if run.status == "ok" and job.name in self._last:
            self._standing.note(job.candidate.name, job.seed, self._last[job.name])
            self._observer.standing(self._standing.text())

    def _record(self, job: RunJob, error: str | None) -> RunRecord:
        path = records.run_path(job.folder, job.candidate.name, job.seed)
        try:
            run = records.read_run(path)
        except FolderError:
            run = None
        if run is not None and (error is None or run.status != "failed"):
            return run  # the latter if the worker died after it had written its record
        reason = error or "the run ended without a record"
        failed = RunRecord(plan=job.candidate.name, seed=job.seed, status="failed", epochs=[], error=reason)
        records.write_json(path, failed)
        return failed


def last_line(error: str | None) -> str:
    """Return the line of a traceback that says what happened."""
    return (error or "no reason is known").strip().splitlines()[-1]
