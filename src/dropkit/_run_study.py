"""``dropkit.run_study``: a study together with its report, which no room may join."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dropkit import report, study
from dropkit.study import Observer, StudyConfig, StudyResult


def run_study(
    config_or_path: StudyConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    out: str | os.PathLike[str],
    workers: int | None = None,
    observer: Observer | None = None,
) -> StudyResult:
    """Run a study as :func:`dropkit.study.run_study` does, and write ``out/report.html``.

    Args:
        config_or_path: A configuration, a mapping with the tables of the file, the path of a TOML file, or the name
            of a built-in study; None is ``"digits"``.
        out: The study's folder, made if need be; the same folder goes on where it stopped.
        workers: Processes at a time, ``>= 1``. Default: the cores that this process may use.
        observer: Told about the progress. Default: nobody is.

    Returns:
        ``.verdict``, ``.plans``, ``.best``, ``.path``.

    Raises:
        InputError: Configuration, data or folder cannot be used; one line says which and why.
    """
    result = study.run_study(config_or_path, out=out, workers=workers, observer=observer)
    report.render(result.path)
    return result
