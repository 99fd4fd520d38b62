"""Whether a folder is this study's, and what of the study it holds already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dropkit import records
from dropkit.core import FolderError
from dropkit.records import Fingerprint, RunRecord
from dropkit.study.config import StudyConfig
from dropkit.study.grid import Candidate
from dropkit.study.text import config_text


def check_folder(folder: Path, config: StudyConfig, fingerprint: Fingerprint | None = None) -> None:
    """Refuse a folder that the study cannot have; nothing is written.

    Args:
        folder: The study's, if it can have it.
        config: The study.
        fingerprint: Of its data and model; None before the preflight, which is to take its time only for a good folder.
    """
    records.check_folder(folder, config_text(config), fingerprint=fingerprint)


def runs_done(
    config: StudyConfig, folder: Path, found: Sequence[Candidate]
) -> dict[tuple[str, int], RunRecord]:
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
