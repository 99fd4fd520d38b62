"""What training looked like: learning curves, the generalisation gap, and what it cost."""

from __future__ import annotations

import json
from statistics import fmean

from dropkit.report import numbers as n
from dropkit.report.charts import Axis, bar, chart, dot, picture, row
from dropkit.report.curves import BAND, curves, last_values
from dropkit.report.html import Html, el
from dropkit.report.parts import color, scroll, section, ticks, who
from dropkit.report.study import Study


def learning(study: Study) -> Html | None:
    """Return the learning curves: data for the script that draws them, and the last values as a table."""
    data = curves(study)
    if not data:
        return None
    data["colors"] = [color(study, plan) for plan in study.plans]
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    safe = Html(text.replace("<", "\\u003c"))  # inside a script element only "<" could end the element
    options = [el("option", metric["label"], value=metric["name"]) for metric in data["metrics"]]
    toggles = [
        el("label", el("input", type="checkbox", checked=True, data_plan=index), who(study, plan))
        for index, plan in enumerate(study.plans)
    ]
    panels = [
        el("figure", el("figcaption", title), el("div", class_="curve", data_part=part, role="img",
           aria_label=f"Learning curves, {title}"), el("p", class_="readout", aria_hidden="true"))
        for part, title in (("train", "training"), ("val", "validation"))
    ]  # fmt: skip
    rows = [
        el("tr", el("th", who(study, plan), scope="row"),
           [el("td", n.value(study.metric, last_values(study, part, plan))) for part in ("train", "val")])
        for plan in study.plans
    ]  # fmt: skip
    head = el("thead", el("tr", [el("th", x, scope="col") for x in ("plan", "training", "validation")]))
    last = el(
        "details",
        el("summary", f"Median {n.label(study.metric)} after the last epoch, as numbers"),
        scroll("After the last epoch", el("table", head, el("tbody", rows))),
    )
    return section(
        "Learning curves",
        "curves",
        el("noscript", el("p", "The curves are drawn by a script, which is switched off here.")),
        el(
            "div",
            el("label", "metric ", el("select", options, id="metric")),
            el("label", el("input", type="checkbox", id="log"), "log scale"),
            toggles,
            class_="controls",
        ),
        el("div", panels, class_="panels"),
        last,
        el("script", safe, type="application/json", id="curve-data"),
        lead=(
            f"Median over the seeds, with the band from their {BAND[0]}th to their {BAND[1]}th percentile. Both panels "
            "share the vertical axis, on which the first epochs may leave the frame. Drag to zoom, double-click to "
            "go back."
        ),
    )


def gap(study: Study) -> Html | None:
    """Return training and test means of the metric and of the loss, joined by the gap between them."""
    blocks = []
    for metric in dict.fromkeys((study.metric, "loss")):
        pairs = {}
        for plan in study.plans:
            train, tests = study.trained(plan, metric), study.tests(plan, metric)
            if train is not None and tests:
                pairs[plan] = (train, fmean(tests))
        if not pairs:
            continue
        axis = Axis.over([x for pair in pairs.values() for x in pair])
        rows = []
        for plan, (train, test) in pairs.items():
            text = f"{n.value(metric, train)} → {n.value(metric, test)}, gap {n.change(metric, train - test)}"
            marks = [
                bar(axis, min(train, test), max(train, test)),
                dot(axis, train, kind="hollow"),
                dot(axis, test),
            ]
            rows.append(
                row(
                    who(study, plan),
                    picture(axis, marks, color=color(study, plan), alt=f"{plan}: {text}"),
                    text,
                )
            )
        built = chart(rows, axis, ticks(metric), caption=f"Gap of {n.label(metric)}")
        blocks += [el("h3", n.label(metric)), built]
    if not blocks:
        return None
    lead = (
        "Training (hollow) to test (full), with the weights that were tested. The shorter the line, the less was "
        "learnt by heart."
    )
    return section("Generalisation gap", "gap", *blocks, lead=lead)


def cost(study: Study) -> Html | None:
    """Return what each plan cost in time."""
    steps = {plan: found for plan in study.plans if (found := study.step_seconds(plan)) is not None}
    if not steps:
        return None
    axis = Axis.over([0.0, *steps.values()])
    rows = []
    for plan, seconds in steps.items():
        ratio = study.cost(plan)
        text = n.duration(seconds) + (
            f", {n.times(ratio)}" if ratio is not None and plan != study.results.baseline else ""
        )
        drawn = picture(
            axis, [bar(axis, 0.0, seconds, kind="thick")], color=color(study, plan), alt=f"{plan}: {text}"
        )
        rows.append(row(who(study, plan), drawn, text))
    total = sum(found.seconds or 0.0 for found in study.timings.values())
    hosts = sorted({found.host for found in study.timings.values()})
    lead = (
        f"Median over the runs of the median time of a training step. All {n.count(len(study.timings), 'run')} took "
        f"{n.duration(total)} together on {', '.join(hosts)}. Other work on the machine disturbs these "
        "numbers, and nothing else here."
    )
    return section(
        "What it cost", "cost", chart(rows, axis, n.duration, caption="Time of a training step"), lead=lead
    )
