"""The results as tables: for a terminal of 80 columns, or in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dropkit.cli.output import table

Result = Mapping[str, Any]


def text(results: Sequence[Result], bars: Sequence[Result]) -> str:
    """Return the tables in plain text, the bars last."""
    return "\n".join(_blocks(results, bars, markdown=False))


def markdown(results: Sequence[Result], bars: Sequence[Result]) -> str:
    """Return the tables in Markdown, the bars last."""
    return "\n".join(_blocks(results, bars, markdown=True))


def instructions(found: Mapping[str, float], *, markdown: bool) -> str:
    """Return the table of instructions an element, by kernels."""
    draw = _markdown if markdown else table
    return draw(
        ["kernels", "instructions an element"], [[name, f"{value:.2f}"] for name, value in found.items()]
    )


def _blocks(results: Sequence[Result], bars: Sequence[Result], *, markdown: bool) -> Iterator[str]:
    draw = _markdown if markdown else table
    for section in dict.fromkeys(result["section"] for result in results):
        rows = [result for result in results if result["section"] == section]
        names = list(dict.fromkeys(name for row in rows for name in row["ratio"]))
        heads = [section, "threads", f"{rows[0]['base']}, µs", *names]
        cells = [
            [
                row["row"],
                str(row["threads"]),
                f"{row['microseconds'][row['base']]:.0f}",
                *(_ratio(row["ratio"].get(name)) for name in names),
            ]
            for row in rows
        ]
        yield draw(heads, cells)
        yield ""
    if bars:
        heads = ["what dropkit is held to", "threads", "found", "to reach", "goal", ""]
        cells = [
            [
                bar["work"],
                str(bar["threads"]),
                *(_value(bar, key) for key in ("found", "limit", "goal")),
                _mark(bar),
            ]
            for bar in bars
        ]
        yield draw(heads, cells)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _value(bar: Result, key: str) -> str:
    value = bar[key]
    return _ratio(value) if bar["unit"] == "x" else f"{value:g} B"


def _mark(bar: Result) -> str:
    if bar["found"] <= bar["goal"]:
        return "goal"
    return "reached" if bar["found"] <= bar["limit"] else "MISSED"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
