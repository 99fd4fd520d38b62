"""``dropkit version``."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed

import typer

from dropkit import __version__
from dropkit.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(epilog="Example: dropkit version --json")(version)


def show(asked: bool) -> None:
    """Do what the command does, for the option ``--version``, and end."""
    if asked:
        version()
        raise typer.Exit


def version(json: Json = False) -> None:
    """Say which dropkit, Python, torch and kernels are in use, and why those kernels."""
    from dropkit.ops.kernels import status  # brings torch

    kernels = status()
    found = {
        "dropkit": __version__,
        "python": platform.python_version(),
        "torch": installed("torch"),
        "numpy": installed("numpy"),
        "kernels": f"{kernels.active} ({kernels.reason})",
    }
    if json:
        print_json(found)
    else:
        print("\n".join(f"{name:8} {value}" for name, value in found.items()))
