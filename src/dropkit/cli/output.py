"""How commands speak: results to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

RUN_FAILED, WRONG, INTERRUPTED = 1, 2, 130

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def speak_utf8() -> None:
    """Make both streams write UTF-8 where the locale would have them refuse a minus sign or an arrow."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def complain(text: str) -> None:
    """Print an error as one line on stderr."""
    print("dropkit:", " ".join(text.split()), file=sys.stderr)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON; what is not finite must have been made None before."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_summary(summary: Any) -> None:
    """Print a renderable: in colour and as wide as a terminal, or as plain text."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(summary)
    else:
        print(summary, end="")


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print ``rows`` as :func:`table` draws them."""
    print(table(heads, rows))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return ``rows`` in aligned columns under ``heads``; the last column is not padded."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, *rows]
    )
