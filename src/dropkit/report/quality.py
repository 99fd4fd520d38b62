"""The test part in detail: every seed, every class, every measure."""

from __future__ import annotations

from statistics import fmean, stdev

from dropkit.report import numbers as n
from dropkit.report.charts import Axis, chart, dot, picture, row, tick
from dropkit.report.html import Html, el
from dropkit.report.parts import color, scroll, section, ticks, who
from dropkit.report.study import Study

_CLASSES_SHOWN = 200


def spread(study: Study) -> Html | None:
    """Return every seed's test result, and whether training became steadier."""
    metric = study.metric
    tests = {plan: found for plan in study.plans if (found := study.tests(plan, metric))}
    if not tests:
        return None
    axis = Axis.over([x for values in tests.values() for x in values])
    rows = []
    for plan, values in tests.items():
        sd = f"sd {n.value(metric, stdev(values), unit=False)}" if len(values) > 1 else "one seed"
        ratio = study.row(plan).variance_ratio
        if ratio is not None and ratio.ratio is not None:
            limits = f"[{n.times(ratio.low)}, {n.times(ratio.high)}]"
            sd += f"; variance {n.times(ratio.ratio)} {limits}, p {n.probability(ratio.p)}"
        marks = [dot(axis, x, kind="seed", radius=5) for x in values] + [tick(axis, fmean(values))]
        ends = f"{n.value(metric, min(values))} to {n.value(metric, max(values))}"
        alt = f"{plan}: {n.count(len(values), 'seed')} from {ends}, {sd}"
        rows.append(row(who(study, plan), picture(axis, marks, color=color(study, plan), alt=alt), sd))
    lead = (
        f"Test {n.label(metric)} of each seed, with the mean as a bar. “variance” is that with the plan over that of "
        "the baseline: below 1, training is steadier."
    )
    built = chart(rows, axis, ticks(metric), caption="Spread across seeds")
    return section("Spread across seeds", "spread", built, lead=lead)


def classes(study: Study) -> Html | None:
    """Return the recall of each class for each plan, with the change against the baseline."""
    recalls = {plan: found for plan in study.plans if (found := study.per_class(plan, "recall"))}
    if not recalls:
        return None
    number = max(map(len, recalls.values()))
    names = study.results.class_names or []
    names = names if len(names) == number else [str(index) for index in range(number)]
    base = recalls.get(study.results.baseline, [])
    heads = [el("th", "class", scope="col"), *(el("th", who(study, plan), scope="col") for plan in recalls)]
    rows = []
    for index, name in enumerate(names[:_CLASSES_SHOWN]):
        cells = []
        for plan, found in recalls.items():
            own = found[index] if index < len(found) else None
            before = base[index] if index < len(base) and plan != study.results.baseline else None
            cells.append(el("td", n.value("accuracy", own), _delta(own, before)))
        rows.append(el("tr", el("th", el("bdi", name), scope="row"), cells))
    lead = (
        "Of the examples of each class, how many were recognised; in small print the change in points against the "
        "baseline."
    )
    if number > _CLASSES_SHOWN:
        lead += f" The first {_CLASSES_SHOWN} of {number} classes are shown."
    built = scroll(
        "Recall of each class", el("table", el("thead", el("tr", heads)), el("tbody", rows), class_="classes")
    )
    return section("Recall of each class", "classes", built, lead=lead)


def measures(study: Study) -> Html | None:
    """Return every metric on the test part, calibration included."""
    metrics = study.metrics()
    if not metrics:
        return None
    head = el("thead", el("tr", [el("th", text, scope="col") for text in ["plan", *map(n.label, metrics)]]))
    rows = []
    for plan in study.plans:
        cells = []
        for metric in metrics:
            values = study.tests(plan, metric)
            mean = n.value(metric, fmean(values) if values else None)
            sd = el("small", f" ± {n.value(metric, stdev(values), unit=False)}") if len(values) > 1 else None
            cells.append(el("td", mean, sd))
        rows.append(el("tr", el("th", who(study, plan), scope="row"), cells))
    calibrated = [metric for metric in ("ece", "brier", "nll") if metric in metrics]
    lead = "Mean and standard deviation over the seeds, on the test part."
    if calibrated:
        lead += (
            f" {', '.join(n.label(metric) for metric in calibrated)} say whether the probabilities can be trusted: "
            "smaller is better."
        )
    built = scroll("Every measure", el("table", head, el("tbody", rows)))
    return section("Every measure", "measures", built, lead=lead)


def _delta(own: float | None, before: float | None) -> Html | None:
    if own is None or before is None:
        return None
    points = 100 * (own - before)
    kind = "up" if points > 0.005 else "down" if points < -0.005 else None
    return el("small", f" {n.change('accuracy', own - before)}", class_=kind)
