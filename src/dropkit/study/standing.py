"""How the plans compare while a study is under way, on validation: nothing is decided by it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from dropkit.stats import SHARES
from dropkit.study.config import StudyConfig
from dropkit.study.grid import Candidate


class Standing:
    """The latest value on validation of every run, and a line about them."""

    def __init__(self, config: StudyConfig, candidates: Sequence[Candidate]) -> None:
        self._config, self._candidates = config, candidates
        self._values: dict[tuple[str, int], float] = {}

    def note(self, candidate: str, seed: int, value: float) -> None:
        """Note that a run ended with ``value``."""
        self._values[candidate, seed] = value

    def text(self) -> str:
        """Return ``so far, error on validation against none: hidden -1.2 points (3 seeds)``; empty without a pair."""
        seeds = self._config.seeds
        baseline = next(c.name for c in self._candidates if c.plan == self._config.baseline)
        parts = []
        for candidate in self._candidates:
            shared = [s for s in seeds if {(baseline, s), (candidate.name, s)} <= self._values.keys()]
            if candidate.name != baseline and shared:
                gain = fmean(self._values[candidate.name, s] - self._values[baseline, s] for s in shared)
                size = f"{100 * gain:+.4g} points" if self._config.metric in SHARES else f"{gain:+.4g}"
                parts.append(f"{candidate.name} {size} ({len(shared)} seed{'s' * (len(shared) > 1)})")
        return (
            f"so far, {self._config.metric} on validation against {baseline}: {', '.join(parts)}"
            if parts
            else ""
        )
