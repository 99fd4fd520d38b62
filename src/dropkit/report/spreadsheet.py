"""The table of a study as CSV, for a spreadsheet or a script: full precision, one row a plan."""

from __future__ import annotations

import csv as csv_module
import io
import os

from dropkit.report.study import Study, load

_COLUMNS = (
    "mean", "sd", "n", "difference", "low", "high", "level", "p", "p_adjusted", "p_permutation", "min_p", "mde",
    "verdict", "diverged", "failed", "validation", "gap", "chosen",
)  # fmt: skip


def csv(folder: str | os.PathLike[str]) -> str:
    """Return the table of the study in ``folder`` as CSV.

    The first columns are ``plan``, ``metric`` and the fields of :class:`dropkit.records.PlanResult`; then come
    ``step_seconds`` (median time of a training step), ``step_ratio`` (that over the baseline's) and, as
    ``test_<metric>``, the mean of each metric on the test part. What is not known is empty.

    Raises:
        FolderError: It is no study's folder, or one of its files is damaged.
    """
    study = load(folder)
    metrics = study.metrics()
    text = io.StringIO()
    writer = csv_module.writer(text, lineterminator="\n")
    extra = ["step_seconds", "step_ratio", *(f"test_{metric}" for metric in metrics)]
    writer.writerow(["plan", "metric", *_COLUMNS, *extra])
    for plan in study.plans:
        writer.writerow([_cell(found) for found in _row(study, plan, metrics)])
    return text.getvalue()


def _row(study: Study, plan: str, metrics: list[str]) -> list[object]:
    row = study.row(plan)
    tests = [study.tests(plan, metric) for metric in metrics]
    means = [sum(found) / len(found) if found else None for found in tests]
    known = [getattr(row, column) for column in _COLUMNS]
    return [plan, study.metric, *known, study.step_seconds(plan), study.cost(plan), *means]


def _cell(found: object) -> str:
    return "" if found is None else repr(found) if isinstance(found, float) else str(found)
