"""The verdict and the table of a study for a terminal of 80 columns."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from dropkit.report.numbers import (
    NOTHING,
    change,
    change_unit,
    interval,
    is_share,
    label,
    probability,
    times,
    value,
)
from dropkit.report.parts import coverage
from dropkit.report.study import Study, load
from dropkit.report.verdict import alarms, headline, scope, sentence, warnings

_COLORS = {"helped": "green", "hurt": "red", "no difference": "cyan", "incomplete": "yellow"}


@dataclass(frozen=True)
class Summary:
    """A study's verdict and table; rich renders it in colour, ``str()`` gives plain text 80 columns wide."""

    study: Study

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the parts in the order of their importance."""
        study = self.study
        color = _COLORS[study.results.verdict]
        yield Text(headline(study), style=f"bold {color}")
        yield Text(sentence(study))
        if holds := scope(study):
            yield Text(holds, style="dim")
        for text in alarms(study):
            yield Text(f"! {text}", style="bold red")
        for text in warnings(study):
            yield Text(f"! {text}", style="yellow")
        yield ""
        yield table(study)
        yield Text(legend(study), style="dim")

    def __str__(self) -> str:
        text = io.StringIO()
        Console(file=text, width=80, color_system=None, force_terminal=False).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def text(folder: str | os.PathLike[str]) -> Summary:
    """Return the verdict and table of the study in ``folder``, for rich's ``print`` and for the plain one.

    Raises:
        FolderError: It is no study's folder, or one of its files is damaged.
    """
    return Summary(load(folder))


def legend(study: Study) -> str:
    """Return what the signs of the table mean."""
    levels = [level for plan in study.others if (level := study.row(plan).level) is not None]
    spread = "±: sd over the seeds"
    if not levels:
        return spread
    if len(levels) > 1:
        return f"{spread}; [ ]: interval of the difference at Holm's level"
    return f"{spread}; [ ]: {coverage(levels[0])} interval of the difference"


def table(study: Study) -> Table:
    """Return the table: a row a plan."""
    metric, share = study.metric, is_share(study.metric)
    built = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    built.add_column("plan", overflow="fold", min_width=8)
    built.add_column(f"test {label(metric)}{' (%)' if share else ''}", justify="right")
    unit = change_unit(metric)
    built.add_column(f"difference{f' ({unit})' if unit else ''}", justify="right", no_wrap=True)
    built.add_column("p (Holm)" if len(study.others) > 1 else "p", justify="right")
    built.add_column("verdict")
    built.add_column("step", justify="right")
    for plan in study.plans:
        row = study.row(plan)
        verdict = row.verdict or ("baseline" if plan == study.results.baseline else NOTHING)
        mean = value(metric, row.mean, unit=False)
        spread = f" ± {value(metric, row.sd, unit=False)}" if row.sd is not None else ""
        gap = f"{change(metric, row.difference)}\n{interval(metric, row.low, row.high)}"
        built.add_row(
            Text(row.chosen or plan, style="bold" if plan == study.results.best else ""),
            Text(mean + spread),
            Text(gap if row.difference is not None else NOTHING),
            Text(probability(row.p_adjusted)),
            Text(verdict, style=_COLORS.get(verdict, "dim")),
            Text(times(study.cost(plan))),
        )
    return built
