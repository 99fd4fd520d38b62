"""What is measured: tensors that people drop, as small as a hidden layer and larger than any cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dropkit.cli.bench.turns import Loop

FORWARD, BOTH = "forward", "forward + backward"

#: Contestants by name, the first being what the others are divided by, and notes on those that cannot take part.
Entered = tuple[dict[str, "Loop"], list[str]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Args:
        name: As ``--rows`` takes it; one name may have a row in several sections.
        section: Title of its table.
        enter: Makes the contestants; called in the row's own process.
        weight: Estimate of the seconds that a turn of all contestants takes on one thread.
        limit: The ratio of ``dropkit`` that is to be reached, or None.
        goal: The ratio that would be best, or None.
    """

    name: str
    section: str
    enter: Callable[[], Entered]
    weight: float
    limit: float | None = None
    goal: float | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """A tensor: its shape, dtype and layout, and the bar for a forward and a backward pass."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    channels_last: bool = False
    bar: tuple[float, float] | tuple[None, None] = (None, None)

    @property
    def name(self) -> str:
        short = {"float32": "", "bfloat16": " bf16"}[self.dtype]
        return "x".join(map(str, self.shape)) + short + (" nhwc" if self.channels_last else "")

    def rows(self) -> list[Row]:
        elements = 1
        for length in self.shape:
            elements *= length
        weight = max(0.1, 45e-9 * elements)
        return [
            Row(self.name, FORWARD, self._entering(backward=False), weight * 0.7),
            Row(self.name, BOTH, self._entering(backward=True), weight, *self.bar),
        ]

    def _entering(self, *, backward: bool) -> Callable[[], Entered]:
        def enter() -> Entered:
            from dropkit.cli.bench.elementwise import contestants

            return contestants(self.shape, self.dtype, channels_last=self.channels_last, backward=backward)

        return enter


_SHAPES = (
    _Shape((128, 512), bar=(4.0, 2.0)),
    _Shape((128, 4096), bar=(2.5, 1.5)),
    _Shape((64, 256, 27, 27), bar=(1.5, 1.1)),
    _Shape((64, 256, 27, 27), channels_last=True),
    _Shape((4096, 4096), bar=(1.5, 1.1)),
    _Shape((4096, 4096), dtype="bfloat16", bar=(1.7, 1.2)),
)
ROWS: tuple[Row, ...] = tuple(row for shape in _SHAPES for row in shape.rows())
QUICK = ("128x512", "128x4096", "4096x4096")


def by_name() -> Mapping[str, list[Row]]:
    """Return the rows of each name, in order."""
    return {name: [row for row in ROWS if row.name == name] for name in dict.fromkeys(r.name for r in ROWS)}
