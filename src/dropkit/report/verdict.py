"""The words of a report: headline, sentence, what it holds for, and everything that went wrong."""

from __future__ import annotations

from math import inf

from dropkit.records import RunRecord
from dropkit.report.numbers import count, is_share, label, value
from dropkit.report.study import Study
from dropkit.stats.wording import Finding

_MOST = 12  # seeds of a plan listed before "and so many more"


def headline(study: Study) -> str:
    """Return the verdict as a headline with the means behind it."""
    results = study.results
    if not study.finished:
        done = f"{len(study.runs)} of {study.expected}" if study.expected else f"{len(study.runs)}"
        return f"Not finished: {done} runs are there"
    if results.verdict == "incomplete" or results.best is None:
        return "Incomplete: no verdict"
    pair = (study.baseline_mean(results.best), study.row(results.best).mean)
    means = [value(study.metric, found) for found in pair]
    numbers = f"test {label(study.metric)} {means[0]} → {means[1]}"
    if results.verdict == "no difference":
        return f"{results.best}: no difference found, {numbers}"
    return f"{results.best} {results.verdict}: {numbers}"


def sentence(study: Study) -> str:
    """Return the answer in one sentence that can be quoted, in the unit of the table."""
    results = study.results
    best = None if results.best is None else plan_sentence(study, results.best)
    if results.sentence and (results.best is None or results.sentence != study.row(results.best).sentence):
        return results.sentence  # why there is no verdict, say
    if best:
        return best
    if not study.finished:
        return "The study is not finished: no verdict until all its runs are there."
    return f"The verdict is {results.verdict}."


def plan_sentence(study: Study, plan: str) -> str | None:
    """Return a plan's comparison as a sentence, in percentage points where the metric is a share, if there is one."""
    found, results = study.row(plan), study.results
    if (
        not is_share(study.metric)
        or found.sentence is None
        or found.difference is None
        or found.level is None
        or found.p_adjusted is None
        or found.n is None
        or found.verdict in (None, "incomplete")
    ):
        return found.sentence
    return Finding(
        treatment=plan,
        baseline=results.baseline,
        metric=study.metric,
        verdict=found.verdict,
        difference=found.difference,
        low=-inf if found.low is None else found.low,
        high=inf if found.high is None else found.high,
        level=found.level,
        sd=inf if found.difference_sd is None else found.difference_sd,
        p=found.p_adjusted,
        family=sum(study.row(name).p_adjusted is not None for name in study.others),
        n=found.n,
        overlapping=bool(results.resplit),
        degenerate=found.degenerate,
    ).sentence(points=True)


def scope(study: Study) -> str:
    """Return what the verdict holds for, and how it was reached; nothing if there is none."""
    results = study.results
    if results.verdict == "incomplete":
        return ""
    if results.resplit or (results.resplit is None and study.config.get("resplit")):
        holds = (
            "The verdict holds over splits of the data, initial weights, batch order and masks: every seed has a split "
            "of its own. As splits overlap, the test is the corrected resampled t (Nadeau and Bengio, 2003)."
        )
    else:
        holds = (
            "The verdict holds over initial weights, batch order and masks, on this one split of the data and this "
            "test set. The test is a paired t over the seeds."
        )
    several = (
        f" Of {len(study.others)} plans, validation chose the one in the headline;"
        if len(study.others) > 1
        else ""
    )
    corrected = " all are judged together, by Holm's procedure." if several else ""
    return f"{holds}{several}{corrected} The test part was used once a run, at the end."


def alarms(study: Study) -> list[str]:
    """Return what went wrong, to be said loudly: runs that diverged, failed or are missing."""
    found = []
    if study.missing and study.expected:
        found.append(
            f"{study.missing} of {count(study.expected, 'run')} missing: start the study again with this folder, "
            "and it does only those."
        )
    if diverged := study.lost("diverged"):
        found.append(
            f"{count(len(diverged), 'run')} diverged, the loss became NaN or infinite: {_names(diverged)}."
        )
    if failed := study.lost("failed"):
        reasons = dict.fromkeys(_last_line(run.error) for run in failed if run.error)
        why = f" Said: {'; '.join(list(reasons)[:3])}." if reasons else ""
        found.append(f"{count(len(failed), 'run')} failed: {_names(failed)}.{why}")
    return found


def warnings(study: Study) -> list[str]:
    """Return what a reader should know before relying on the verdict, each once."""
    found = list(study.results.warnings)
    for plan in study.others:
        found += [text if text in found else f"{plan}: {text}" for text in study.row(plan).warnings]
    seeds = study.row(study.results.baseline).n
    if not found and seeds and seeds < 6:
        found.append(
            f"{count(seeds, 'seed')} a plan: the sign-flip test cannot reach 0.05 with fewer than 6."
        )
    return list(dict.fromkeys(found))


def _names(runs: list[RunRecord]) -> str:
    """Return ``hidden (seeds 3, 4), none (seed 0)``."""
    plans = dict.fromkeys(run.plan for run in runs)
    return ", ".join(f"{plan} ({_seeds([run.seed for run in runs if run.plan == plan])})" for plan in plans)


def _seeds(seeds: list[int]) -> str:
    listed = ", ".join(map(str, seeds[:_MOST])) + (
        f" and {len(seeds) - _MOST} more" if len(seeds) > _MOST else ""
    )
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {listed}"


def _last_line(text: str) -> str:
    """Return the last line of a traceback, which says what happened."""
    lines = text.strip().splitlines()
    return lines[-1].rstrip(".") if lines else "nothing"
