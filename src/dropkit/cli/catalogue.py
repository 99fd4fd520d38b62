"""``dropkit catalogue``."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropkit.cli.catalogue_page import catalogue_page, public_name, usage
from dropkit.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from dropkit.core import Variant


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(epilog="Example: dropkit catalogue dropout")(catalogue)


def catalogue(
    name: Annotated[str | None, typer.Argument(help="One variant, in full.")] = None,
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The page of the docs.")] = False,
    json: Json = False,
) -> None:
    """List the dropout variants, or tell all about one."""
    import dropkit._catalogue  # noqa: F401  (fills the registry)
    from dropkit import core

    if markdown:
        print(catalogue_page(), end="")
        return
    if name is not None:
        variant = core.variant(name)
        entry = _plain(variant) | {"example": usage(variant)}
        if json:
            print_json(entry)
        else:
            for key, value in entry.items():
                first, *rest = wrap(_text(value), 96) if key != "example" else value
                print(f"{key:13} {first}", *(f"{'':13} {line}" for line in rest), sep="\n")
        return
    entries = core.catalogue()
    families = {entry.family for entry in entries}
    if family is not None and family not in families:
        raise core.unknown_name("family", family, families)
    chosen = [_plain(entry) for entry in entries if family in (None, entry.family)]
    if json:
        print_json(chosen)
    else:
        columns = ("name", "family", "default_rate", "at", "year")
        print_table(columns, [[_text(entry[column]) for column in columns] for entry in chosen])


def _plain(entry: Variant) -> dict[str, Any]:
    """Return the fields that can be printed; ``op`` and ``module`` by the names that users call them."""
    named = {
        key: None if value is None else public_name(value)
        for key, value in (("op", entry.op), ("module", entry.module))
    }
    keys = ("name", "family", "kind", "law", "default_rate", "at", "samples", "paper", "year")
    return {key: getattr(entry, key) for key in keys} | named


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    return "-" if value is None else str(value)
