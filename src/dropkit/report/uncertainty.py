"""How sure the best plan is of its answers, and whether it is right to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dropkit.records import Answers, Picture, PredictionRecord
from dropkit.report import numbers as n
from dropkit.report.charts import Axis
from dropkit.report.html import Html, el, join
from dropkit.report.parts import color, scroll, section
from dropkit.report.pixels import image
from dropkit.report.plots import Curve, plot
from dropkit.report.reliability import reliability
from dropkit.report.study import Study
from dropkit.report.voices import Voice, named_line, speaking, voice_name
from dropkit.stats import aurc, risk_coverage

_POINTS = 200  # of a curve: more would be finer than a screen
_SHOWN = 8  # pictures of each kind
_ORDER = ("accuracy", "nll", "brier", "ece", "rmse", "log_likelihood", "mae", "r2")
_FIRST = 20  # answers, fewer than which say little about the error among them


def uncertainty(study: Study) -> Html | None:
    """Return the part on uncertainty; None for a study that recorded no predictions."""
    asked = study.asked()
    if not asked:
        return None
    reasons = [
        el(
            "p",
            el("bdi", f"{record.plan}--{record.seed}"),
            f" has no Monte-Carlo prediction: {record.reason}",
            class_="care",
        )
        for record in asked.values()
        if record.reason is not None
    ]
    voices = list(speaking(asked))
    if not voices:
        return section("How sure is it?", "uncertainty", reasons)
    best = voices[-1]
    record = asked[best.plan]
    classes = bool(record.label)
    risks = _coverage(study, voices)
    trust = reliability(study, voices)
    shown = [voice for voice in voices if voice.answers.uncertainty or voice.answers.level]
    key = el("p", [named_line(study, voice) for voice in shown], class_="key")
    lead = (
        f"Answers of seed {record.seed} on the {n.count(len(best.answers.loss), 'example')} of its test part"
    )
    if record.members:
        lead += f"; “Monte Carlo” is the mean over {record.members} thinned networks of one run"
    lead += "."
    if classes:
        lead += " A well calibrated model is right as often as it says: its points lie on the diagonal."
    elif trust is not None:
        lead += " Of a well calibrated model 90 % of the targets lie in its 90 % intervals: on the diagonal."
    if risks is not None:
        lead += " A model that knows when it is wrong has a risk that falls to the left."
    return section(
        "How sure is it?",
        "uncertainty",
        key,
        el("div", [drawn for drawn in (trust, risks) if drawn is not None], class_="duo"),
        _table(study, voices),
        reasons,
        _gallery(study, record, best.answers) if classes else None,
        lead=lead,
    )


def _coverage(study: Study, voices: Sequence[Voice]) -> Html | None:
    """Return the risk-coverage curves, None where nobody says how sure he is."""
    curves, facts, highest = [], [], 0.0
    for voice in voices:
        for name, values in voice.answers.uncertainty.items():
            found = risk_coverage(values, voice.answers.loss)
            enough = found.coverage * len(values) >= min(_FIRST, len(values))
            keep = np.flatnonzero(enough)
            keep = keep[np.unique(np.linspace(0, len(keep) - 1, min(len(keep), _POINTS)).round().astype(int))]
            points = list(zip(found.coverage[keep].tolist(), found.risk[keep].tolist(), strict=True))
            dash = "dotted" if name == "mutual information" else voice.dash
            curves.append(Curve(points, color(study, voice.plan), dash))
            facts.append(
                f"{voice.plan} {voice.title} by {name}: AURC {n.plain(aurc(values, voice.answers.loss))}"
            )
            highest = max([highest, *(risk for _, risk in points)])
    if not curves:
        return None
    classes = bool(voices[-1].answers.confidence)
    drawn = plot(
        curves,
        Axis(0.0, 1.0),
        Axis(0.0, highest * 1.05 or 1.0),
        names=(
            "share of the examples that are answered",
            "error among those answered" if classes else "mean squared error",
        ),
        write=(lambda at: f"{100 * at:.0f} %", (lambda at: f"{100 * at:.3g} %") if classes else n.plain),
        alt=f"Risk and coverage. {'; '.join(facts)}",
    )
    note = (
        "The least certain are left out first: by entropy"
        if classes
        else "The least certain are left out first: by sd"
    )
    dotted = any("mutual information" in voice.answers.uncertainty for voice in voices)
    note += "; dotted: by mutual information." if dotted else "."
    return el("figure", el("figcaption", "Risk and coverage"), drawn, el("p", note, class_="note"))


def _table(study: Study, voices: Sequence[Voice]) -> Html:
    known = {name for voice in voices for name in voice.answers.metrics}
    metrics = [name for name in _ORDER if name in known]
    kinds = list(dict.fromkeys(name for voice in voices for name in voice.answers.uncertainty))
    heads = ["answers of", *map(n.label, metrics), *(f"AURC, by {kind}" for kind in kinds)]
    rows = []
    for voice in voices:
        found = voice.answers
        cells = [n.value(metric, found.metrics.get(metric)) for metric in metrics]
        cells += [
            n.plain(aurc(found.uncertainty[kind], found.loss)) if kind in found.uncertainty else n.NOTHING
            for kind in kinds
        ]
        name = join(el("i", class_=f"swatch c{color(study, voice.plan)}"), voice_name(study, voice))
        rows.append(el("tr", el("th", name, scope="row"), [el("td", cell) for cell in cells]))
    head = el("thead", el("tr", [el("th", text, scope="col") for text in heads]))
    notes = []
    if "log_likelihood" in metrics:
        notes += [
            "The log-likelihood is an example's mean, with observation noise as likely as can be on validation."
        ]
    if kinds:
        notes += [
            "AURC is the area under the curve of risk and coverage: the smaller, the better mistakes are foreseen."
        ]
    built = scroll("Uncertainty in numbers", el("table", head, el("tbody", rows)))
    return join(built, el("p", " ".join(notes), class_="note") if notes else None)


def _gallery(study: Study, record: PredictionRecord, answers: Answers) -> Html:
    """Return the least certain examples, the most certain ones, and the surest mistakes, as images."""
    shown = {picture.row: picture for picture in record.pictures}
    if not shown:
        command = el("code", f"dropkit predict {study.folder.name} test")
        return el(
            "p", "The examples are no images that could be shown here; ", command, " lists the least certain."
        )
    entropy = answers.uncertainty["entropy"]
    order = sorted(shown, key=lambda row: entropy[row])
    wrong = [row for row in order if answers.loss[row] > 0]
    blocks = []
    for title, rows in (
        ("Least certain", order[::-1][:_SHOWN]),
        ("Most certain", order[:_SHOWN]),
        ("Surest mistakes", wrong[:_SHOWN]),
    ):
        cells = [_cell(study, record, answers, shown[row]) for row in rows]
        if cells:
            blocks += [el("h3", title), el("ul", cells, class_="gallery")]
    return join(blocks)


def _cell(study: Study, record: PredictionRecord, answers: Answers, picture: Picture) -> Html:
    row = picture.row
    said, truth = _class(study, answers.predicted[row]), _class(study, record.label[row])
    right = answers.loss[row] == 0
    judged = el("small", "right") if right else el("small", "is ", el("bdi", truth), class_="down")
    text = el("div", el("b", el("bdi", said)), f" {100 * answers.confidence[row]:.0f} %", el("br"), judged)
    return el("li", image(picture, alt=f"example {row}: {said}, is {truth}"), text)


def _class(study: Study, index: int) -> str:
    names = study.results.class_names or []
    return names[index] if index < len(names) else str(index)
