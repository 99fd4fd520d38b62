"""``dropkit study``."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from dropkit.cli.output import INTERRUPTED, RUN_FAILED, Json, complain, print_json, print_summary


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(epilog="Example: dropkit study my.toml --out runs/mine --workers 4")(study)


def study(
    config: Annotated[
        str | None, typer.Argument(metavar="CONFIG.toml", help="Default: the built-in digits study.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The study's folder. Default: runs/NAME.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time. Default: one a core.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Use the seeds 0 to N - 1 instead of the configuration's.", metavar="N")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, say what would be done and how long.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a study, and say whether it helped. The same command on the same folder goes on where it stopped."""
    from dropkit import report
    from dropkit.cli.progress import duration, observer
    from dropkit.study import default_workers, load_config, run_study, survey

    chosen = load_config(config)
    if seeds is not None:
        chosen = chosen.with_seeds(seeds)
    folder = Path("runs", re.sub(r"[^\w.+-]+", "-", chosen.name).strip(".")) if out is None else out
    workers = workers or default_workers()
    if dry_run:
        with redirect_stdout(sys.stderr):
            found = survey(chosen, out=folder, workers=workers)
        if json:
            print_json(found.to_dict())
        else:
            print(found.text)
            print(
                f"about {duration(found.seconds)} with {workers} at a time"
                if found.todo
                else "nothing is left to do"
            )
        return
    try:
        with redirect_stdout(sys.stderr):  # a user's data and model may print
            result = run_study(chosen, out=folder, workers=workers, observer=observer())
    except KeyboardInterrupt:
        kept = f"the finished runs are in {folder}, and the same command goes on from there"
        complain(f"interrupted; {kept if folder.exists() else 'nothing was written'}")
        raise typer.Exit(INTERRUPTED) from None
    page = report.render(folder)
    if json:
        print_json(result.results.model_dump(mode="json", by_alias=True))
    else:
        print_summary(report.text(folder))
        print(f"report: {page}")
    for run, error in result.failed.items():
        complain(f"{run} failed: {error}")
    if result.failed:
        raise typer.Exit(RUN_FAILED)
