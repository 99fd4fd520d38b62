"""Plans against the baseline: the picture of the differences, the table, and what rates were chosen from."""

from __future__ import annotations

from dropkit.report import numbers as n
from dropkit.report.charts import Axis, bar, chart, dot, picture, row
from dropkit.report.html import Html, el, join
from dropkit.report.parts import color, coverage, scroll, section, who
from dropkit.report.study import Study
from dropkit.report.verdict import plan_sentence


def differences(study: Study) -> Html | None:
    """Return the picture of all differences with their intervals."""
    metric, unit = study.metric, n.change_unit(study.metric)
    means = {plan: x for plan in study.others if (x := study.row(plan).difference) is not None}
    if not means:
        return None
    seeds = {plan: _paired(study, plan) for plan in means}
    limits = [x for plan in means for x in (study.row(plan).low, study.row(plan).high)]
    axis = Axis.over([0.0, *limits, *means.values(), *(x for plan in means for x in seeds[plan])])
    rows = []
    for plan, mean in means.items():
        found = study.row(plan)
        low = axis.low if found.low is None else found.low
        high = axis.high if found.high is None else found.high
        marks = [dot(axis, x, kind="seed", radius=3, y="86%") for x in seeds[plan]]
        marks += [bar(axis, low, high), dot(axis, mean)]
        numbers = f"{n.change(metric, mean)} {n.interval(metric, found.low, found.high)}"
        alt = f"{plan}: {numbers} {unit}, {found.verdict}"
        name = join(who(study, plan), el("small", found.verdict or ""))
        drawn = picture(axis, marks, color=color(study, plan), alt=alt, zero=True, height=40)
        rows.append(row(name, drawn, numbers))
    sides = ("← worse", "better →") if study.larger_is_better else ("← better", "worse →")
    lead = (
        f"Test {n.label(metric)} minus that of {study.results.baseline}{f', in {unit}' if unit else ''}: the mean "
        "(large dot), its interval (line) and each seed (small dots). An interval that leaves out zero is a verdict."
    )
    drawn = chart(
        rows, axis, lambda at: n.change(metric, at) if abs(at) > 1e-12 else "0", caption="Differences"
    )
    legend = el("p", el("span", sides[0]), el("span", sides[1]), class_="sides", aria_hidden="true")
    return section("Difference from the baseline", "differences", legend, drawn, lead=lead)


def table(study: Study) -> Html:
    """Return the table of the comparison."""
    rows = []
    for plan in study.plans:
        cells = [
            el("td", text, class_="bad" if head in ("diverged", "failed") and text != "0" else None)
            for head, text in _cells(study, plan).items()
        ]
        best = "best" if plan == study.results.best else None
        rows.append(el("tr", el("th", who(study, plan), scope="row"), cells, class_=best))
    heads = ["plan", *_cells(study, study.results.baseline)]
    head = el("thead", el("tr", [el("th", text, scope="col") for text in heads]))
    lead = (
        "“interval” is that of the difference, at the level at which Holm's procedure decided it. "
        "“detectable” is the difference that a study of this size and spread would find with probability 0.8. "
        "“sign-flip” is the exact permutation p beside the t-test that decides, with the least value it can take."
    )
    built = scroll("All plans", el("table", head, el("tbody", rows)))
    rest = [plan for plan in study.others if plan != study.results.best]
    others = [el("li", found) for plan in rest if (found := plan_sentence(study, plan))]
    more = (
        join(el("h3", "The other plans" if len(others) > 1 else "The other plan"), el("ul", others))
        if others
        else None
    )
    return section("All plans", "plans", built, more, lead=lead)


def _cells(study: Study, plan: str) -> dict[str, str]:
    """Return the cells of a plan's row by the heads of their columns."""
    metric, found = study.metric, study.row(plan)
    unit, share = n.change_unit(metric), " (%)" if n.is_share(metric) else ""
    known = None not in (found.p_permutation, found.min_p)  # it does not apply where splits overlap
    least = f" (≥ {n.probability(found.min_p)})" if known else ""
    return {
        "verdict": "baseline" if plan == study.results.baseline else found.verdict or n.NOTHING,
        f"test {n.label(metric)}{share}": n.value(metric, found.mean, unit=False),
        "sd over seeds": n.value(metric, found.sd, unit=False),
        f"difference{f' ({unit})' if unit else ''}": n.change(metric, found.difference),
        "interval": n.interval(metric, found.low, found.high),
        "level": coverage(found.level) if found.level is not None else n.NOTHING,
        "p, Holm": n.probability(found.p_adjusted),
        "p alone": n.probability(found.p),
        "p, sign-flip": n.probability(found.p_permutation) + least,
        "detectable": n.change(metric, found.mde).lstrip("+"),
        f"validation{share}": n.value(metric, found.validation, unit=False),
        f"train {n.MINUS} test": n.change(metric, found.gap),
        "seeds": n.NOTHING if found.n is None else str(found.n),
        "diverged": str(found.diverged),
        "failed": str(found.failed),
        "step": n.times(study.cost(plan)),
    }


def candidates(study: Study) -> Html | None:
    """Return what validation chose from, where rates were a grid."""
    blocks = []
    for plan in study.plans:
        found = study.row(plan)
        points = {name: point.validation for name, point in (found.candidates or {}).items()}
        if not points:
            continue
        axis = Axis.over(list(points.values()))
        rows = []
        for name, mean in points.items():
            chosen = name == found.chosen
            text = f"{n.value(study.metric, mean)}{' ← chosen' if chosen else ''}"
            marks = [] if mean is None else [dot(axis, mean, kind="dot" if chosen else "hollow")]
            drawn = picture(axis, marks, color=color(study, plan), alt=f"{name}: {text}", height=22)
            rows.append(row(el("bdi", name), drawn, text))
        caption = f"Candidates of {plan}"
        blocks += [
            el("h3", el("bdi", plan)),
            chart(rows, axis, lambda x: n.value(study.metric, x), caption=caption),
        ]
    if not blocks:
        return None
    lead = f"Mean {n.label(study.metric)} on validation of each candidate. The test part played no role in the choice."
    return section("Which rate?", "candidates", *blocks, lead=lead)


def _paired(study: Study, plan: str) -> list[float]:
    """Return the difference at each seed that the plan shares with the baseline."""
    own, base = study.row(plan), study.row(study.results.baseline)
    before = dict(zip(base.seeds or [], base.values or [], strict=False))
    pairs = zip(own.seeds or [], own.values or [], strict=False)
    return [
        found - start
        for seed, found in pairs
        if found is not None and (start := before.get(seed)) is not None
    ]
