"""The versioned schema of a study on disk, and reading and writing it without half-written files."""

from dropkit.records.folder import check_folder, config_sha256, current_versions, open_folder
from dropkit.records.lock import lock
from dropkit.records.models import (
    SCHEMA,
    CandidateResult,
    Epoch,
    Fingerprint,
    Metrics,
    PlanResult,
    Results,
    RunRecord,
    StudyInfo,
    Timing,
    VarianceRatioResult,
)
from dropkit.records.names import (
    check_plan_name,
    prediction_path,
    results_path,
    run_path,
    timing_path,
    weights_path,
)
from dropkit.records.predictions import Answers, Picture, PredictionRecord
from dropkit.records.reading import (
    load_predictions,
    load_runs,
    load_timings,
    read_config,
    read_predictions,
    read_results,
    read_run,
    read_study,
    read_timing,
)
from dropkit.records.writing import canonical_json, write_bytes, write_json

__all__ = [
    "SCHEMA",
    "Answers",
    "CandidateResult",
    "Epoch",
    "Fingerprint",
    "Metrics",
    "Picture",
    "PlanResult",
    "PredictionRecord",
    "Results",
    "RunRecord",
    "StudyInfo",
    "Timing",
    "VarianceRatioResult",
    "canonical_json",
    "check_folder",
    "check_plan_name",
    "config_sha256",
    "current_versions",
    "load_predictions",
    "load_runs",
    "load_timings",
    "lock",
    "open_folder",
    "prediction_path",
    "read_config",
    "read_predictions",
    "read_results",
    "read_run",
    "read_study",
    "read_timing",
    "results_path",
    "run_path",
    "timing_path",
    "weights_path",
    "write_bytes",
    "write_json",
]
