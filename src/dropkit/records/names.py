"""Where each file of a study lies, and which names a plan may have to lie there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dropkit.core import FolderError, PlanError, whole_number

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_+@=,.]|-(?!-))*(?<![-.])")
_STEM = re.compile(r"(?P<plan>.+)--(?P<seed>0|[1-9][0-9]*)")
_LONGEST = 120  # with seed, suffix and the mark of a temporary file still below the 255 bytes of a file name


def check_plan_name(name: str) -> str:
    """Return ``name`` if it can be part of a file name, else raise ``PlanError``.

    Legal are 1 to 120 letters, digits and ``_ + @ = , . -``, of which the first is a letter, a digit or ``_`` and the
    last neither ``.`` nor ``-``; and no ``--``, which separates plan and seed.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise PlanError(
            f"a plan's name must be 1 to {_LONGEST} letters, digits and _ + @ = , . - (a letter, digit or _ first, "
            f"no . or - last, no --), "
            f"got {name!r}"
        )
    return name


def run_path(folder: str | os.PathLike[str], plan: str, seed: int) -> Path:
    """Return ``folder/runs/<plan>--<seed>.json``."""
    return Path(folder) / "runs" / f"{_stem(plan, seed)}.json"


def timing_path(folder: str | os.PathLike[str], plan: str, seed: int) -> Path:
    """Return ``folder/timing/<plan>--<seed>.json``."""
    return Path(folder) / "timing" / f"{_stem(plan, seed)}.json"


def weights_path(folder: str | os.PathLike[str], plan: str, seed: int) -> Path:
    """Return ``folder/checkpoints/<plan>--<seed>.safetensors``."""
    return Path(folder) / "checkpoints" / f"{_stem(plan, seed)}.safetensors"


def prediction_path(folder: str | os.PathLike[str], plan: str, seed: int) -> Path:
    """Return ``folder/predictions/<plan>--<seed>.json``."""
    return Path(folder) / "predictions" / f"{_stem(plan, seed)}.json"


def results_path(folder: str | os.PathLike[str]) -> Path:
    """Return ``folder/results.json``."""
    return Path(folder) / "results.json"


def _stem(plan: str, seed: int) -> str:
    number = whole_number(seed)
    if number is None or number < 0:
        raise PlanError(f"a seed must be a whole number of at least 0, got {seed!r}")
    return f"{check_plan_name(plan)}--{number}"


def parse_name(path: Path) -> tuple[str, int]:
    """Return plan and seed that the file name of a run or timing stands for; raise ``FolderError`` if for none."""
    found = _STEM.fullmatch(path.stem)
    if path.suffix == ".json" and found and _NAME.fullmatch(found["plan"]):
        return found["plan"], int(found["seed"])
    raise FolderError(
        f"{path} is not a study's file, whose name would be <plan>--<seed>.json; move it elsewhere"
    )
