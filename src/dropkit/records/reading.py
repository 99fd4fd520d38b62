"""Reading: what a file must be to be believed, and one clear line where it is not."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dropkit.core import FolderError, InputError
from dropkit.records.models import SCHEMA, Results, RunRecord, StudyInfo, Timing
from dropkit.records.names import parse_name, results_path
from dropkit.records.predictions import PredictionRecord

Model = TypeVar("Model", bound=BaseModel)

_TEMPORARY = re.compile(r"\..+\.[0-9]+\.tmp")  # as write_bytes names them
_REPEAT = "delete it and start the study again, which repeats only this run"
_ANEW = "delete it and start the study again, which writes it anew"


def read_study(folder: str | os.PathLike[str]) -> StudyInfo:
    """Return ``study.json``; raise ``FolderError`` if ``folder`` holds no readable study."""
    path = Path(folder) / "study.json"
    if not path.exists():
        what = "is no study's folder (no study.json)" if Path(folder).is_dir() else "is no folder"
        raise FolderError(f"{folder} {what}; give the folder that `dropkit study --out` made")
    return _read(path, StudyInfo, "restore it, or start anew in another folder")


def read_config(folder: str | os.PathLike[str]) -> str:
    """Return the text of ``config.toml``; raise ``FolderError`` if it is missing or not text."""
    path = Path(folder) / "config.toml"
    return _text(path, "restore it: it is the configuration that the study began with")


def read_results(folder: str | os.PathLike[str]) -> Results:
    """Return ``results.json``; raise ``FolderError`` if it is missing, damaged or newer than this dropkit."""
    return _read(
        results_path(folder), Results, "start the study again with the same folder, which writes it anew"
    )


def read_run(path: str | os.PathLike[str]) -> RunRecord:
    """Return the run in the file ``path``.

    Raises:
        FolderError: It is missing, damaged, cut short, no run, newer than this dropkit, or holds another plan or
            seed than its name says; the text names the file and says what to do.
    """
    return _read_named(Path(path), RunRecord)


def read_timing(path: str | os.PathLike[str]) -> Timing:
    """Return the timing in the file ``path``; raises as :func:`read_run`."""
    return _read_named(Path(path), Timing)


def load_runs(folder: str | os.PathLike[str]) -> dict[tuple[str, int], RunRecord]:
    """Return all runs in ``folder/runs`` by plan and seed, sorted; none if there is no such folder.

    Raises:
        FolderError: Any file there is not a run (see :func:`read_run`). Temporary files of a writer are skipped.
    """
    return _load(Path(folder) / "runs", RunRecord)


def load_timings(folder: str | os.PathLike[str]) -> dict[tuple[str, int], Timing]:
    """Return all timings in ``folder/timing`` by plan and seed, sorted; raises as :func:`load_runs`."""
    return _load(Path(folder) / "timing", Timing)


def read_predictions(path: str | os.PathLike[str]) -> PredictionRecord:
    """Return the predictions in the file ``path``; raises as :func:`read_run`."""
    return _read_named(Path(path), PredictionRecord, _ANEW)


def load_predictions(folder: str | os.PathLike[str]) -> dict[tuple[str, int], PredictionRecord]:
    """Return all there are in ``folder/predictions`` by plan and seed, sorted; raises as :func:`load_runs`."""
    return _load(Path(folder) / "predictions", PredictionRecord, _ANEW)


def is_temporary(path: Path) -> bool:
    """Whether ``path`` has the name of a file that is still being written, or was when its writer died."""
    return _TEMPORARY.fullmatch(path.name) is not None


Named = TypeVar("Named", RunRecord, Timing, PredictionRecord)


def _load(folder: Path, kind: type[Named], cure: str = _REPEAT) -> dict[tuple[str, int], Named]:
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FolderError(f"cannot read {folder}: {error.strerror}; it must be a folder") from error
    found = {}
    for path in paths:
        if not is_temporary(path):
            found[parse_name(path)] = _read_named(path, kind, cure)
    return dict(sorted(found.items()))


def _read_named(path: Path, kind: type[Named], cure: str = _REPEAT) -> Named:
    plan, seed = parse_name(path)
    record = _read(path, kind, cure)
    if (record.plan, record.seed) != (plan, seed):
        raise FolderError(
            f"{path} holds plan {record.plan!r} with seed {record.seed}, which is not what its name says; "
            f"give it its name back, or {cure}"
        )
    return record


def _read(path: Path, kind: type[Model], cure: str) -> Model:
    values = _parse(path, cure)
    version = values.get("schema") if isinstance(values, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise FolderError(f"{path} is not as dropkit writes it (no version under schema); {cure}")
    if version > SCHEMA:
        raise FolderError(
            f"{path} was written by a newer dropkit (schema {version}, this one knows up to {SCHEMA}); upgrade dropkit"
        )
    try:
        return kind.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise FolderError(f"{path} is not as dropkit writes it ({_first(error)}); {cure}") from None


def _parse(path: Path, cure: str) -> Any:
    try:
        return json.loads(_text(path, cure), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = f"{error}" if isinstance(error, ValueError) else "nested too deeply"
        raise FolderError(f"{path} is damaged or cut short ({reason}); {cure}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _text(path: Path, cure: str) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise FolderError(f"{path} is missing; {cure}") from None
    except UnicodeDecodeError:
        raise FolderError(f"{path} is damaged (not text); {cure}") from None
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror}; {cure}") from error


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    context = problem.get("ctx", {}).get("error")
    text = str(context) if isinstance(context, ValueError | InputError) else problem["msg"]
    return f"{where}: {text}" if where else text
