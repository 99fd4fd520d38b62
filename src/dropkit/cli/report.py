"""``dropkit report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropkit.cli.output import Json, print_json, print_summary


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(epilog="Example: dropkit report runs/digits --csv > digits.csv")(report)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished study.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV.")] = False,
    json: Json = False,
) -> None:
    """Write DIR/report.html again, and print verdict and table."""
    from dropkit import records
    from dropkit import report as room

    if csv and json:
        raise typer.BadParameter("--csv and --json exclude each other")
    page = room.render(folder)
    if csv:
        print(room.csv(folder), end="")
    elif json:
        print_json(records.read_results(folder).model_dump(mode="json", by_alias=True))
    else:
        print_summary(room.text(folder))
        print(f"report: {page}")
