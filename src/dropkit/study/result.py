"""What a study would do, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dropkit.records import PlanResult, Results


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
