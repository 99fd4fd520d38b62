"""Which candidate stands for a plan, and which plan leads: chosen on validation, never on the test part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

from dropkit.records import RunRecord
from dropkit.stats import LARGER_IS_BETTER
from dropkit.study.config import StudyConfig
from dropkit.study.grid import Candidate


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run reached, in the study's metric, with the weights that were tested.

    Args:
        train: On the training part; None if not finite.
        val: On the validation part.
        test: On the test part.
    """

    train: float | None
    val: float
    test: float


@dataclass(frozen=True, slots=True)
class Candidacy:
    """All runs of one candidate.

    Args:
        candidate: The candidate.
        outcomes: By seed, of the runs that ended well.
        diverged: Seeds at which the loss, or the metric at the end, was not finite.
        failed: Seeds whose run failed or is not there.
    """

    candidate: Candidate
    outcomes: Mapping[int, Outcome]
    diverged: tuple[int, ...]
    failed: tuple[int, ...]


def gather(config: StudyConfig, candidate: Candidate, runs: Mapping[tuple[str, int], RunRecord]) -> Candidacy:
    """Return the candidacy of ``candidate`` from the records of a study."""
    outcomes: dict[int, Outcome] = {}
    diverged, failed = [], []
    for seed in config.seeds:
        run = runs.get((candidate.name, seed))
        if run is None or run.status == "failed":
            failed.append(seed)
        elif (found := _outcome(run, config.metric)) is None:
            diverged.append(seed)
        else:
            outcomes[seed] = found
    return Candidacy(candidate, outcomes, tuple(diverged), tuple(failed))


def _outcome(run: RunRecord, metric: str) -> Outcome | None:
    if run.status != "ok":
        return None
    tested = run.epochs[(run.best_epoch or len(run.epochs)) - 1]
    train, val, test = (_number(part.get(metric)) for part in (tested.train, tested.val, run.test))
    return None if val is None or test is None else Outcome(train, val, test)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def choose(config: StudyConfig, candidacies: Sequence[Candidacy]) -> Candidacy:
    """Return the candidate with the fewest runs lost and, among those, the best mean on validation.

    A candidate that diverges at some seeds is not judged by the others alone. Of equals the first is chosen.
    """
    sign = -1.0 if LARGER_IS_BETTER[config.metric] else 1.0

    def rank(found: Candidacy) -> tuple[int, float]:
        values = [outcome.val for outcome in found.outcomes.values()]
        return len(config.seeds) - len(values), sign * fmean(values) if values else 0.0

    return min(candidacies, key=rank)


def leader(config: StudyConfig, chosen: Mapping[str, Candidacy]) -> str | None:
    """Return the plan, other than the baseline, that gains most on validation over the seeds it shares with it.

    None where no plan shares a seed with the baseline. Of equals the first is chosen.
    """
    sign = -1.0 if LARGER_IS_BETTER[config.metric] else 1.0
    baseline = chosen[config.baseline].outcomes
    gains = {}
    for name, found in chosen.items():
        shared = [seed for seed in found.outcomes if seed in baseline]
        if name != config.baseline and shared:
            gains[name] = fmean(sign * (baseline[seed].val - found.outcomes[seed].val) for seed in shared)
    return max(gains, key=lambda name: gains[name], default=None)
