"""How sure the best plan is of its answers, and whether it is right to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dropkit.records import Answers, Picture, PredictionRecord
from dropkit.report import numbers as n
from dropkit.report.charts import Axis
from dropkit.report.html import Html, el, join
from dropkit.report.parts import color, scroll, section
from dropkit.report.pixels import image
from dropkit.report.plots import Curve, plot
from dropkit.report.study import Study
from dropkit.stats import aurc, risk_coverage
from dropkit.stats.calibration import grouped

_BINS = 10
_POINTS = 200  # of a curve: more would be finer than a screen
_SHOWN = 8  # pictures of each kind
_ORDER = ("accuracy", "nll", "brier", "ece", "rmse", "log_likelihood", "mae", "r2")
_FIRST = 20  # answers, fewer than which say little about the error among them


@dataclass(frozen=True)
class _Voice:
    """One way of asking one run.

    Args:
        plan: Its plan.
        title: What it is called.
        answers: What it says.
        dash: Of its lines.
    """

    plan: str
    title: str
    answers: Answers
    dash: str


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
    voices = list(_voices(asked))
    if not voices:
        return section("How sure is it?", "uncertainty", reasons)
    best = voices[-1]
    record = asked[best.plan]
    classes = bool(record.label)
    figures = [_reliability(study, voices)] if classes else []
    figures += [drawn] if (drawn := _coverage(study, voices)) is not None else []
    key = el("p", [_key(study, voice) for voice in voices if voice.answers.uncertainty], class_="key")
    lead = (
        f"Answers of seed {record.seed} on the {n.count(len(best.answers.loss), 'example')} of its test part"
    )
    if record.members:
        lead += f"; “Monte Carlo” is the mean over {record.members} thinned networks of one run"
    lead += (
        ". A well calibrated model is right as often as it says: its points lie on the diagonal."
        if classes
        else "."
    )
    if len(figures) == 2:
        lead += " A model that knows when it is wrong has a risk that falls to the left."
    return section(
        "How sure is it?",
        "uncertainty",
        key,
        el("div", figures, class_="duo"),
        _table(study, voices),
        reasons,
        _gallery(study, record, best.answers) if classes else None,
        lead=lead,
    )


def _voices(asked: dict[str, PredictionRecord]) -> Iterator[_Voice]:
    """Yield the baseline's voices, then the best plan's, the most telling one last."""
    for plan, record in asked.items():
        if record.plain is not None:
            alone = record.sampled is None
            yield _Voice(
                plan, "scaled weights" if not alone else "", record.plain, "solid" if alone else "dashed"
            )
        if record.sampled is not None:
            yield _Voice(plan, "Monte Carlo", record.sampled, "solid")


def _key(study: Study, voice: _Voice) -> Html:
    line = el("svg", el("line", x1=0, x2=28, y1=6, y2=6, class_=f"line c{color(study, voice.plan)} {voice.dash}"),
              width=28, height=12, aria_hidden="true")  # fmt: skip
    return el("span", line, " ", _name(study, voice))


def _name(study: Study, voice: _Voice) -> Html:
    shown = el("bdi", study.row(voice.plan).chosen or voice.plan, class_="plan")
    return join(shown, f", {voice.title}" if voice.title else None)


def _reliability(study: Study, voices: Sequence[_Voice]) -> Html:
    curves, facts = [], []
    for voice in voices:
        confidence = np.asarray(voice.answers.confidence)
        right = np.asarray(voice.answers.loss) == 0
        bins = grouped(confidence, right, _BINS, "equal-width")
        filled = bins.counts > 0
        points = list(zip(bins.confidence[filled].tolist(), bins.accuracy[filled].tolist(), strict=True))
        sizes = 2.0 + 6.0 * np.sqrt(bins.counts[filled] / len(right))
        curves.append(Curve(points, color(study, voice.plan), voice.dash, sizes.tolist()))
        facts.append(f"{voice.plan} {voice.title}: ECE {n.value('ece', voice.answers.metrics.get('ece'))}")
    unit = Axis(0.0, 1.0)
    percent: Callable[[float], str] = lambda at: f"{100 * at:.0f} %"  # noqa: E731
    drawn = plot(
        curves,
        unit,
        unit,
        names=("confidence", "share that is right"),
        write=(percent, percent),
        alt=f"Reliability diagram. {'; '.join(facts)}",
        diagonal=True,
    )
    note = "Bins of equal width; the larger a dot, the more answers it stands for."
    return el("figure", el("figcaption", "Reliability"), drawn, el("p", note, class_="note"))


def _coverage(study: Study, voices: Sequence[_Voice]) -> Html | None:
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


def _table(study: Study, voices: Sequence[_Voice]) -> Html:
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
        name = join(el("i", class_=f"swatch c{color(study, voice.plan)}"), _name(study, voice))
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
