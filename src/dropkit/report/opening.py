"""The head of the page: the verdict, the few numbers that most people want, and what went wrong."""

from __future__ import annotations

from dropkit.report import numbers as n
from dropkit.report.html import Html, el, join
from dropkit.report.parts import coverage
from dropkit.report.study import Study
from dropkit.report.verdict import alarms, headline, scope, sentence, warnings

_MARKS = {"helped": "✓", "hurt": "✗", "no difference": "=", "incomplete": "!"}


def verdict(study: Study) -> Html:
    """Return the head of the page: the verdict, its sentence, what it holds for, and what went wrong."""
    found = study.results.verdict
    kind = found.replace(" ", "-")
    badge = el("span", el("span", _MARKS[found], aria_hidden="true"), f" {found}", class_=f"badge {kind}")
    trouble = [el("li", text) for text in alarms(study)]
    care = [el("li", text) for text in warnings(study)]
    return el(
        "header",
        el("p", "dropkit study ", el("b", el("bdi", study.name)), class_="eyebrow"),
        el("p", badge),
        el("h1", headline(study)),
        el("blockquote", el("p", sentence(study))),
        tiles(study),
        el(
            "div",
            el("strong", "Runs are missing" if study.missing else "Runs were lost"),
            el("ul", trouble),
            class_="alarm",
            role="alert",
        )
        if trouble
        else None,
        el("div", el("strong", "Before you rely on this"), el("ul", care), class_="care") if care else None,
        el("p", holds, class_="lead") if (holds := scope(study)) else None,
    )


def tiles(study: Study) -> Html | None:
    """Return the few numbers that most people want."""
    results, metric = study.results, study.metric
    plan = results.best
    if plan is None or results.verdict == "incomplete":
        return None
    best, base = study.row(plan), study.baseline_mean(plan)
    cells: list[tuple[str, str, str]] = [
        (
            f"test {n.label(metric)}, {results.baseline}",
            n.value(metric, base),
            "mean over the seeds",
        ),
        (f"test {n.label(metric)}, {best.chosen or plan}", n.value(metric, best.mean), "mean over the seeds"),
    ]
    if best.difference is not None:
        unit = n.change_unit(metric)
        size = join(n.change(metric, best.difference), el("small", f" {unit}") if unit else None)
        note = f"{coverage(best.level)} interval {n.interval(metric, best.low, best.high)}"
        cells.append(("difference", size, note))
    if (cost := study.cost(plan)) is not None:
        cells.append(
            (
                "time of a training step",
                n.times(cost),
                f"{n.duration(study.step_seconds(plan))} instead of {n.duration(study.step_seconds(results.baseline))}",
            )
        )
    if best.n:
        cells.append(("paired seeds", str(best.n), f"{n.count(len(study.runs), 'run')} in all"))
    return el(
        "dl", [el("div", el("dt", a), el("dd", el("b", b)), el("dd", c)) for a, b, c in cells], class_="tiles"
    )
