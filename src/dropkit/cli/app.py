"""All commands together, and what becomes of their errors: one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dropkit.cli import audit, bench, catalogue, compare, data, predict, report, study, version
from dropkit.cli.output import INTERRUPTED, WRONG, complain, speak_utf8
from dropkit.core import InputError

# Base of every "wrong usage" error; where it lives has changed between versions of typer.
_UsageError: Any = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="dropkit",
    help="Dropout, done properly: which one, where, how much, and proof whether it helped.",
    epilog="Example: dropkit study --out runs/digits",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=version.show, help="The same as `dropkit version`."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


for command in (study, compare, report, predict, audit, catalogue, bench, version):
    command.register(app)
app.add_typer(data.app, name="data")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``dropkit`` with ``arguments`` (default: the process's own) and exit.

    Exit codes: 0 done, diverged runs included; 1 a run failed; 2 bad arguments, configuration, data or folder: one
    line on stderr; 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    speak_utf8()
    try:
        code = app(args=given or ["--help"], prog_name="dropkit", standalone_mode=False)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "dropkit"
        complain(f"{error.format_message()} (try: {command} --help)")
        code = WRONG
    except InputError as error:
        complain(str(error))
        code = WRONG
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, e.g. `head`, has seen enough
        sys.stderr.close()
        code = 0
    sys.exit(code)
