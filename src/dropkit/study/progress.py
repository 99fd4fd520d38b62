"""What a study says while it works. Whoever shows it implements :class:`Observer`; the default shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Observer(Protocol):
    """Told about a study's progress, in the process that runs it. ``run`` is ``plan--seed``."""

    def begin(self, runs: int, kept: int, seconds: float) -> None:
        """The study has ``runs`` runs, of which ``kept`` were done before; ``seconds`` are left by estimate."""

    def started(self, run: str) -> None:
        """A run has its process."""

    def epoch(self, run: str, epoch: int, epochs: int, value: float) -> None:
        """A run has done ``epoch`` of ``epochs`` and has ``value`` of the metric on validation."""

    def ended(self, run: str, status: str, error: str | None) -> None:
        """A run is over: ``"ok"``, ``"diverged"`` or ``"failed"``, the latter with a line that says why."""

    def standing(self, text: str) -> None:
        """One line on how the plans compare so far, on validation."""

    def asking(self, runs: Sequence[str]) -> None:
        """All runs are over; these are asked how sure they are of every example of the test part."""

    def end(self) -> None:
        """Nothing more is done; also called when the study is interrupted."""


class Silent:
    """An observer that shows nothing."""

    def begin(self, runs: int, kept: int, seconds: float) -> None:
        """Show nothing."""

    def started(self, run: str) -> None:
        """Show nothing."""

    def epoch(self, run: str, epoch: int, epochs: int, value: float) -> None:
        """Show nothing."""

    def ended(self, run: str, status: str, error: str | None) -> None:
        """Show nothing."""

    def standing(self, text: str) -> None:
        """Show nothing."""

    def asking(self, runs: Sequence[str]) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""
