"""Who speaks in the part on uncertainty: a plan, with scaled weights or as the mean over thinned networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dropkit.records import Answers, PredictionRecord
from dropkit.report.html import Html, el, join
from dropkit.report.parts import color
from dropkit.report.study import Study


@dataclass(frozen=True)
class Voice:
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


def speaking(asked: dict[str, PredictionRecord]) -> Iterator[Voice]:
    """Yield the baseline's voices, then the best plan's, the most telling one last."""
    for plan, record in asked.items():
        if record.plain is not None:
            alone = record.sampled is None
            yield Voice(
                plan, "scaled weights" if not alone else "", record.plain, "solid" if alone else "dashed"
            )
        if record.sampled is not None:
            yield Voice(plan, "Monte Carlo", record.sampled, "solid")


def named_line(study: Study, voice: Voice) -> Html:
    """Return a piece of the voice's line with its name, for the key."""
    line = el("svg", el("line", x1=0, x2=28, y1=6, y2=6, class_=f"line c{color(study, voice.plan)} {voice.dash}"),
              width=28, height=12, aria_hidden="true")  # fmt: skip
    return el("span", line, " ", voice_name(study, voice))


def voice_name(study: Study, voice: Voice) -> Html:
    """Return its plan and how that is asked."""
    shown = el("bdi", study.row(voice.plan).chosen or voice.plan, class_="plan")
    return join(shown, f", {voice.title}" if voice.title else None)
