"""What the parts of the page are made of: headings, tables that scroll, plans with their colours."""

from __future__ import annotations

from collections.abc import Callable

from dropkit.report import numbers as n
from dropkit.report.html import Child, Html, el, join
from dropkit.report.study import Study

COLORS = 8


def color(study: Study, plan: str) -> int:
    """Return the number of a plan's colour: 0 for the baseline, the others in turn."""
    index = study.plans.index(plan)
    return 0 if plan == study.results.baseline else 1 + (index - 1) % (COLORS - 1)


def who(study: Study, plan: str) -> Html:
    """Return a plan's name with its colour."""
    shown = study.row(plan).chosen or plan
    return join(el("i", class_=f"swatch c{color(study, plan)}"), el("bdi", shown, class_="plan"))


def section(title: str, identity: str, *content: Child, lead: str | None = None) -> Html:
    """Return a part of the page with its heading and a sentence on how to read it."""
    return el(
        "section", el("h2", title), el("p", lead, class_="lead") if lead else None, content, id=identity
    )


def scroll(caption: str, table: Html) -> Html:
    """Return a table that scrolls within itself where the screen is narrow, by keyboard too."""
    return el("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)


def ticks(metric: str) -> Callable[[float], str]:
    """Return the function that writes a value of ``metric`` at an axis."""
    return lambda place: n.value(metric, place)


def coverage(level: float | None) -> str:
    """Return the name of an interval's level: ``95 %``."""
    return f"{100 * level:.3g} %" if level is not None else "confidence"
