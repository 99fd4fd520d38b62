"""``dropkit data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropkit.cli.output import Json, print_json

app = typer.Typer(
    help="Data sets for the built-in studies.",
    epilog="Example: dropkit data fetch mnist",
    no_args_is_help=False,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Without a callback typer would take the only command for the group itself."""


@app.command(epilog="Example: dropkit data fetch mnist --dir data/mnist")
def fetch(
    name: Annotated[str, typer.Argument(help="mnist or fashion-mnist.")],
    dir: Annotated[Path | None, typer.Option(help="Where to put it. Default: the cache.")] = None,
    json: Json = False,
) -> None:
    """Get a data set and verify its checksums; what is there already is left alone."""
    from dropkit import zoo

    folder = zoo.fetch(name, dir)
    if json:
        print_json({"name": name, "dir": str(folder)})
    else:
        print(f"{name} is in {folder}")
