"""Whether the best plan is right as often as it says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dropkit.report import numbers as n
from dropkit.report.charts import Axis
from dropkit.report.html import Html, el
from dropkit.report.parts import color
from dropkit.report.plots import Curve, plot
from dropkit.report.study import Study
from dropkit.report.voices import Voice
from dropkit.stats.calibration import grouped

Points = list[tuple[float, float]]

_BINS = 10
_STEPS = 20  # levels of intervals
_TOLD = 0.9  # the level that is told in words


def reliability(study: Study, voices: Sequence[Voice]) -> Html | None:
    """Return the reliability diagram: of classes by confidence, of a regression by the level of intervals.

    None where nobody says how sure he is.
    """
    if all(voice.answers.confidence for voice in voices):
        lines = [(voice, *_confidence(voice)) for voice in voices]
        names = "confidence", "share that is right"
        note = "Bins of equal width; the larger a dot, the more answers it stands for."
    else:
        lines = [(voice, *_levels(voice)) for voice in voices if voice.answers.level]
        names = "level of the interval", "share of the targets inside"
        note = "Central intervals of what is observed: members scatter, and noise is added, fitted on validation."
    if not lines:
        return None
    unit = Axis(0.0, 1.0)
    drawn = plot(
        [Curve(points, color(study, voice.plan), voice.dash, sizes) for voice, points, sizes, _ in lines],
        unit,
        unit,
        names=names,
        write=(_percent, _percent),
        alt=f"Reliability diagram. {'; '.join(f'{voice.plan} {voice.title}: {fact}' for voice, _, _, fact in lines)}",
        diagonal=True,
    )
    return el("figure", el("figcaption", "Reliability"), drawn, el("p", note, class_="note"))


def _confidence(voice: Voice) -> tuple[Points, list[float], str]:
    right = np.asarray(voice.answers.loss) == 0
    bins = grouped(np.asarray(voice.answers.confidence), right, _BINS, "equal-width")
    filled = bins.counts > 0
    points = list(zip(bins.confidence[filled].tolist(), bins.accuracy[filled].tolist(), strict=True))
    sizes = 2.0 + 6.0 * np.sqrt(bins.counts[filled] / len(right))
    return points, sizes.tolist(), f"ECE {n.value('ece', voice.answers.metrics.get('ece'))}"


def _levels(voice: Voice) -> tuple[Points, list[float], str]:
    needed = np.sort(voice.answers.level)
    levels = np.linspace(0.0, 1.0, _STEPS + 1)
    inside = np.searchsorted(needed, levels, side="right") / len(needed)
    inside[-1] = 1.0
    points = list(zip(levels.tolist(), inside.tolist(), strict=True))
    at = levels.searchsorted(_TOLD)
    return points, [], f"{_percent(inside[at])} of the targets in {_percent(_TOLD)} intervals"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
