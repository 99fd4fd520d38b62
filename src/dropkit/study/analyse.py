"""From the records of a study to its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Literal

from dropkit import stats
from dropkit.records import CandidateResult, PlanResult, Results, RunRecord, VarianceRatioResult
from dropkit.stats import LARGER_IS_BETTER, Comparison
from dropkit.study.choice import Candidacy, choose, gather, leader
from dropkit.study.config import StudyConfig
from dropkit.study.grid import Candidate
from dropkit.study.preflight import Facts

ALPHA = 0.05
_Lost = Mapping[str, Mapping[str, Mapping[str, int]]]  # plan -> how -> candidate -> seeds
_SAME = (  # fields that a row takes over from its comparison
    *("difference", "low", "high", "level", "p", "p_adjusted", "p_permutation", "min_p", "bca"),
    *("mde", "mde_low", "mde_high", "degenerate", "verdict", "sentence"),
)


def analyse(
    config: StudyConfig,
    candidates: Sequence[Candidate],
    runs: Mapping[tuple[str, int], RunRecord],
    facts: Facts,
) -> Results:
    """Return the answer of a study.

    Validation chooses: first each plan's candidate, then the plan that leads. The test part only judges: every plan
    against the baseline, paired by seed, decided together by Holm's procedure. The study's verdict is that of the
    plan that leads. It is "incomplete" while a run has failed or is missing, be it of a candidate that was not
    chosen: it might be then. It also is where a chosen candidate's run diverged, unless ``drop_diverged`` leaves
    that seed out on both sides.

    Args:
        config: The study.
        candidates: Its candidates.
        runs: Records by candidate and seed.
        facts: What the preflight found out.
    """
    plans = {
        name: [gather(config, found, runs) for found in candidates if found.plan == name]
        for name in config.plans
    }
    chosen = {name: choose(config, found) for name, found in plans.items()}
    lost = {name: _lost(plans[name], found) for name, found in chosen.items()}
    whole = {
        name: not found["failed"] and (config.drop_diverged or not found["diverged"])
        for name, found in lost.items()
    }
    compared = _compared(config, chosen, whole, facts)
    best = leader(
        config, {name: found for name, found in chosen.items() if name in (config.baseline, *compared)}
    )
    complete = all(whole.values()) and best is not None
    verdict = compared[best].verdict if complete and best is not None else "incomplete"
    return Results(
        baseline=config.baseline,
        best=best,
        metric=config.metric,
        verdict=verdict,
        plans={
            name: _row(config, plans[name], chosen[name], chosen[config.baseline], compared.get(name))
            for name in config.plans
        },
        name=config.name,
        task=facts.task,
        larger_is_better=LARGER_IS_BETTER[config.metric],
        alpha=ALPHA,
        resplit=config.resplit,
        test_train_ratio=facts.test_train_ratio if config.resplit else None,
        seeds=list(config.seeds),
        sentence=compared[best].sentence if complete and best is not None else _incomplete(config, lost),
        warnings=_warnings(config, lost, compared.get(best) if best else None),
        class_names=None if facts.class_names is None else list(facts.class_names),
    )


def _lost(candidacies: Sequence[Candidacy], chosen: Candidacy) -> dict[str, Mapping[str, int]]:
    """Return how many seeds each candidate that matters lost, by name: ``{"diverged": ..., "failed": ...}``.

    A candidate that diverges has lost by its own doing, and matters only if it was chosen all the same. One that
    failed may succeed when it is tried again, and be chosen then.
    """
    return {
        "diverged": {chosen.candidate.name: len(chosen.diverged)} if chosen.diverged else {},
        "failed": {found.candidate.name: len(found.failed) for found in candidacies if found.failed},
    }


def _compared(
    config: StudyConfig, chosen: Mapping[str, Candidacy], whole: Mapping[str, bool], facts: Facts
) -> dict[str, Comparison]:
    """Return the comparison of each plan that can be judged: it and the baseline are whole and share two seeds."""
    baseline = chosen[config.baseline].outcomes
    pairs: dict[str, tuple[list[float], list[float]]] = {}
    for name, found in chosen.items():
        shared = _shared(config, chosen[config.baseline], found)
        if name != config.baseline and whole[name] and whole[config.baseline] and len(shared) >= 2:
            pairs[name] = (
                [baseline[seed].test for seed in shared],
                [found.outcomes[seed].test for seed in shared],
            )
    return stats.compare_pairs(
        pairs,
        larger_is_better=LARGER_IS_BETTER[config.metric],
        alpha=ALPHA,
        test_train_ratio=facts.test_train_ratio if config.resplit else None,
        baseline_name=config.baseline,
        metric=config.metric,
    )


def _shared(config: StudyConfig, one: Candidacy, other: Candidacy) -> list[int]:
    return [seed for seed in config.seeds if seed in one.outcomes and seed in other.outcomes]


def _row(
    config: StudyConfig,
    candidacies: Sequence[Candidacy],
    found: Candidacy,
    baseline: Candidacy,
    comparison: Comparison | None,
) -> PlanResult:
    """Return a plan's row; means are over the seeds that it shares with the baseline."""
    seeds = _shared(config, baseline, found)
    outcomes = [found.outcomes[seed] for seed in seeds]
    tests = [outcome.test for outcome in outcomes]
    gaps = [outcome.train - outcome.test for outcome in outcomes if outcome.train is not None]
    values: dict[str, Any] = {
        "mean": fmean(tests) if tests else None,
        "sd": stdev(tests) if len(tests) > 1 else None,
        "diverged": len(found.diverged),
        "failed": len(found.failed),
        "n": len(seeds),
        "seeds": seeds,
        "values": tests,
        "validation": fmean(outcome.val for outcome in outcomes) if outcomes else None,
        "gap": fmean(gaps) if gaps else None,
    }
    if found.candidate.name != found.candidate.plan:
        values |= {
            "chosen": found.candidate.name,
            "candidates": {other.candidate.name: _candidate(other) for other in candidacies},
        }
    if found.candidate.plan == config.baseline:
        return PlanResult(**values)
    if comparison is None:
        return PlanResult(**values, verdict="incomplete")
    values |= {name: getattr(comparison, name) for name in _SAME}
    values |= {"difference_sd": comparison.sd, "warnings": list(comparison.warnings)}
    if len(seeds) >= 3:
        spread = stats.variance_ratio([baseline.outcomes[seed].test for seed in seeds], tests)
        values["variance_ratio"] = VarianceRatioResult(
            ratio=spread.ratio, low=spread.low, high=spread.high, p=spread.p
        )
    return PlanResult(**values)


def _candidate(found: Candidacy) -> CandidateResult:
    values = [outcome.val for outcome in found.outcomes.values()]
    return CandidateResult(validation=fmean(values) if values else None, n=len(values))


def _listed(config: StudyConfig, lost: _Lost, how: Literal["diverged", "failed"]) -> str:
    """Return which candidates lost runs, ``hidden at 2 of 10 seeds``, or nothing."""
    counts = {name: count for plan in lost.values() for name, count in plan[how].items()}
    return ", ".join(f"{name} at {count} of {len(config.seeds)} seeds" for name, count in counts.items())


def _incomplete(config: StudyConfig, lost: _Lost) -> str:
    reasons = []
    if failed := _listed(config, lost, "failed"):
        reasons.append(
            f"runs failed or are missing ({failed}): the same command on the same folder tries them again"
        )
    if diverged := _listed(config, lost, "diverged"):
        cure = (
            "too few seeds are left"
            if config.drop_diverged
            else "in a new folder, lower the learning rate, or set drop_diverged = true"
        )
        reasons.append(f"runs diverged ({diverged}): {cure}")
    return f"Incomplete, no verdict: {'; '.join(reasons)}."


def _warnings(config: StudyConfig, lost: _Lost, comparison: Comparison | None) -> list[str]:
    warnings = [] if comparison is None else list(comparison.warnings)
    diverged = _listed(config, lost, "diverged")
    if diverged and config.drop_diverged and comparison is not None:
        warnings.append(
            f"diverged runs were left out, with their partners ({diverged}): the verdict is for the others"
        )
    return warnings
