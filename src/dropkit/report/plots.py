"""Plots of curves over two axes as inline SVG: text keeps its size while the plot takes the width there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dropkit.report.charts import Axis
from dropkit.report.html import Html, el

_LEFT, _WIDTH = 13.0, 81.0  # of the plot, in per cent of the whole
_TOP, _HEIGHT, _FOOT = 10, 230, 44  # in pixels


@dataclass(frozen=True)
class Curve:
    """A line through points.

    Args:
        points: ``(x, y)`` in the axes' units.
        color: Number of its colour.
        dash: ``"solid"``, ``"dashed"`` or ``"dotted"``.
        sizes: Radius of a dot at each point, in pixels; none without.
    """

    points: Sequence[tuple[float, float]]
    color: int
    dash: str = "solid"
    sizes: Sequence[float] = ()


def plot(
    curves: Sequence[Curve],
    x: Axis,
    y: Axis,
    *,
    names: tuple[str, str],
    write: tuple[Callable[[float], str], Callable[[float], str]],
    alt: str,
    diagonal: bool = False,
) -> Html:
    """Return a plot.

    Args:
        curves: Later ones lie above.
        x: Horizontal axis.
        y: Vertical axis.
        names: Of the two axes.
        write: Text of a tick of each.
        alt: What a reader who cannot see it should know.
        diagonal: Whether to draw the line from corner to corner.
    """
    marks = []
    for tick in x.ticks():
        at = f"{_across(x, tick):.2f}%"
        marks.append(el("line", x1=at, x2=at, y1=_TOP, y2=_TOP + _HEIGHT, class_="grid"))
        marks.append(el("text", write[0](tick), x=at, y=_TOP + _HEIGHT + 17, text_anchor="middle"))
    for tick in y.ticks():
        at = f"{_down(y, tick):.1f}"
        marks.append(el("line", x1=f"{_LEFT}%", x2=f"{_LEFT + _WIDTH}%", y1=at, y2=at, class_="grid"))
        marks.append(el("text", write[1](tick), x=f"{_LEFT - 1.5}%", y=at, dy="4", text_anchor="end"))
    foot = el("text", names[0], x=f"{_LEFT + _WIDTH / 2}%", y=_TOP + _HEIGHT + 38, text_anchor="middle")
    lines = [el("line", x1=0, y1=1000, x2=1000, y2=0, class_="ideal")] if diagonal else []
    lines += [_line(curve, x, y) for curve in curves]
    inner = el(
        "svg",
        lines,
        x=f"{_LEFT}%",
        y=_TOP,
        width=f"{_WIDTH}%",
        height=_HEIGHT,
        viewBox="0 0 1000 1000",
        preserveAspectRatio="none",
    )
    dots = [
        el("circle", cx=f"{_across(x, at):.2f}%", cy=f"{_down(y, value):.1f}", r=f"{size:.1f}",
           class_=f"dot c{curve.color} {curve.dash}")
        for curve in curves
        for (at, value), size in zip(curve.points, curve.sizes, strict=False)
    ]  # fmt: skip
    drawn = el(
        "svg",
        el("title", alt),
        marks,
        inner,
        dots,
        foot,
        role="img",
        aria_label=alt,
        class_="plot",
        height=_TOP + _HEIGHT + _FOOT,
    )
    return el("div", el("div", names[1], class_="upright", aria_hidden="true"), drawn)


def _line(curve: Curve, x: Axis, y: Axis) -> Html:
    points = " ".join(f"{_share(x, a) * 1000:.1f},{(1 - _share(y, b)) * 1000:.1f}" for a, b in curve.points)
    return el("polyline", points=points, class_=f"line c{curve.color} {curve.dash}")


def _share(axis: Axis, value: float) -> float:
    return (min(max(value, axis.low), axis.high) - axis.low) / (axis.high - axis.low)


def _across(axis: Axis, value: float) -> float:
    return _LEFT + _WIDTH * _share(axis, value)


def _down(axis: Axis, value: float) -> float:
    return _TOP + _HEIGHT * (1 - _share(axis, value))
