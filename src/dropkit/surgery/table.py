"""Plain text tables."""

from __future__ import annotations

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; columns empty in every row are left out; no rows, no lines."""
    if not rows:
        return []
    shown = [column for column in range(len(heads)) if any(row[column] for row in rows)]
    lines = [[cells[column] for column in shown] for cells in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
