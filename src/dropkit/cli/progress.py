"""Showing a study at work: live bars on a terminal, a plain line a run elsewhere. All of it on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from time import monotonic

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from dropkit.study.progress import Observer


def observer() -> Observer:
    """Return what suits stderr."""
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines()


def duration(seconds: float) -> str:
    """Return a duration for people: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Clock:
    """How long the rest will take: first by estimate, then by the epochs done since the start."""

    def __init__(self, runs: int, kept: int, seconds: float) -> None:
        self._estimate, self._todo, self._start = seconds, runs - kept, monotonic()
        self._shares: dict[str, float] = {}

    def note(self, run: str, share: float) -> None:
        """Note which share of ``run`` is done."""
        self._shares[run] = share

    def left(self) -> float:
        """Return the seconds left."""
        passed, done = monotonic() - self._start, sum(self._shares.values())
        if done < 0.5:
            return max(0.0, self._estimate - passed)
        return passed * (self._todo - done) / done


class Lines:
    """A line a run, for logs and pipes."""

    def begin(self, runs: int, kept: int, seconds: float) -> None:
        """Say what is to do."""
        self._runs, self._ended, self._values = runs, kept, dict[str, float]()
        self._clock = Clock(runs, kept, seconds)
        self._say(
            f"{runs} runs, {kept} done before; about {duration(seconds)}"
            if runs > kept
            else "all runs are done"
        )

    def started(self, run: str) -> None:
        """Say nothing: its end will be said."""

    def epoch(self, run: str, epoch: int, epochs: int, value: float) -> None:
        """Remember it for the end."""
        self._values[run] = value
        self._clock.note(run, epoch / epochs)

    def ended(self, run: str, status: str, error: str | None) -> None:
        """Say how the run ended."""
        self._ended += 1
        self._clock.note(run, 1.0)
        value = f", validation {self._values[run]:.4g}" if run in self._values else ""
        rest = f"; about {duration(self._clock.left())} left" if self._ended < self._runs else ""
        self._say(f"[{self._ended}/{self._runs}] {run}: {error or status}{'' if error else value}{rest}")

    def standing(self, text: str) -> None:
        """Say nothing: a log needs no running verdict."""

    def asking(self, runs: Sequence[str]) -> None:
        """Say it: it can take a while."""
        self._say(_asking(runs))

    def end(self) -> None:
        """Say nothing."""

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Bars:
    """A bar for the study and one for each run under way, with the time left and the standing so far."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
            expand=True,
        )
        self._standing = Text(overflow="ellipsis", no_wrap=True)
        self._live = Live(Group(self._bars, self._standing), console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}

    def begin(self, runs: int, kept: int, seconds: float) -> None:
        """Show the study's bar."""
        self._clock = Clock(runs, kept, seconds)
        self._live.start()
        self._study = self._bars.add_task("study", total=runs, completed=kept, note="")
        self._show_time()

    def started(self, run: str) -> None:
        """Show the run's bar."""
        self._tasks[run] = self._bars.add_task(run, total=None, note="")

    def epoch(self, run: str, epoch: int, epochs: int, value: float) -> None:
        """Move the run's bar."""
        self._clock.note(run, epoch / epochs)
        self._bars.update(self._tasks[run], completed=epoch, total=epochs, note=f"validation {value:.4g}")
        self._show_time()

    def ended(self, run: str, status: str, error: str | None) -> None:
        """Remove the run's bar; a run that is not ok leaves a line."""
        self._clock.note(run, 1.0)
        self._bars.remove_task(self._tasks.pop(run))
        self._bars.advance(self._study)
        if status != "ok":
            self._live.console.print(f"{run}: {error or status}", markup=False, highlight=False)
        self._show_time()

    def standing(self, text: str) -> None:
        """Show how the plans compare so far."""
        self._standing.plain = text

    def asking(self, runs: Sequence[str]) -> None:
        """Show it in place of the time left."""
        self._bars.update(self._study, note="")
        self._standing.plain = _asking(runs)

    def end(self) -> None:
        """Take the bars away."""
        self._live.stop()

    def _show_time(self) -> None:
        self._bars.update(self._study, note=f"about {duration(self._clock.left())} left")


def _asking(runs: Sequence[str]) -> str:
    return f"asking {' and '.join(runs)} how sure they are of each test example"
