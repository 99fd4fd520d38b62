"""Charts drawn as inline SVG, a row a plan, in coordinates of per cent so that text and marks keep their size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dropkit.report.html import Html, el

_MARGIN = 0.04  # of the width, left free on both sides so that marks at the ends are whole


@dataclass(frozen=True)
class Axis:
    """A linear axis over ``[low, high]``."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float | None]) -> Axis:
        """Return the axis that shows all finite ``values``."""
        finite = [x for x in values if x is not None and math.isfinite(x)] or [0.0]
        low, high = min(finite), max(finite)
        if low == high:
            pad = abs(low) * 0.1 or 1.0
            low, high = low - pad, high + pad
        return cls(low, high)

    def at(self, value: float) -> str:
        """Return the place of ``value``, clipped to the axis, as per cent of the width."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return f"{100 * (_MARGIN + share * (1 - 2 * _MARGIN)):.2f}%"

    def ticks(self) -> list[float]:
        """Return three to six round values."""
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def row(name: Html, plot: Html, numbers: Html | str) -> Html:
    """Return one row of a chart: what, picture, numbers."""
    return el(
        "li",
        el("span", name, class_="who"),
        plot,
        el("span", numbers, class_="numbers"),
    )


def chart(rows: Sequence[Html], axis: Axis, write: Callable[[float], str], *, caption: str) -> Html:
    """Return a chart of ``rows`` with the axis below; ``write`` gives the text of a tick."""
    marks = [el("text", write(tick), x=axis.at(tick), y="12", text_anchor="middle") for tick in axis.ticks()]
    foot = el("li", el("span"), el("svg", marks, height="16"), el("span"), class_="axis", aria_hidden="true")
    return el("ul", rows, foot, class_="chart", aria_label=caption)


def picture(
    axis: Axis, marks: Sequence[Html], *, color: int, alt: str, zero: bool = False, height: int = 30
) -> Html:
    """Return the picture of one row: ``marks`` over faint lines at the ticks, and a strong one at zero if asked."""
    grid = [_vertical(axis.at(tick), "grid") for tick in axis.ticks()]
    line = [_vertical(axis.at(0.0), "zero")] if zero else []
    return el(
        "svg",
        el("title", alt),
        grid,
        line,
        marks,
        role="img",
        aria_label=alt,
        class_=f"c{color}",
        height=height,
    )


def dot(axis: Axis, value: float, *, kind: str = "dot", radius: float = 6, y: str = "50%") -> Html:
    """Return a round mark."""
    return el("circle", cx=axis.at(value), cy=y, r=radius, class_=kind)


def bar(axis: Axis, low: float, high: float, *, kind: str = "bar") -> Html:
    """Return a horizontal line from ``low`` to ``high``."""
    return el("line", x1=axis.at(low), x2=axis.at(high), y1="50%", y2="50%", class_=kind)


def tick(axis: Axis, value: float) -> Html:
    """Return a short upright mark."""
    return el("line", x1=axis.at(value), x2=axis.at(value), y1="15%", y2="85%", class_="tick")


def _vertical(x: str, kind: str) -> Html:
    return el("line", x1=x, x2=x, y1="0", y2="100%", class_=kind)
