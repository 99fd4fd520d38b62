"""The catalogue as a page of the docs, made from the registry alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropkit.core import Variant

_OPENING = """# Catalogue

{count} variants in {families} families. Generated from the registry by `dropkit catalogue --markdown`; `dk.catalogue()`
returns the same entries, `dk.variant("dropout")` one of them, and `dropkit catalogue dropout` prints it. `rate` is
always the probability of dropping.
"""


def catalogue_page() -> str:
    """Return docs/catalogue.md."""
    import dropkit._catalogue  # noqa: F401  (fills the registry)
    from dropkit import core

    entries = core.catalogue()
    families = sorted({entry.family for entry in entries})
    parts = [_OPENING.format(count=len(entries), families=len(families))]
    for family in families:
        parts.append(f"## {family[0].upper()}{family[1:]}\n")
        parts += [_section(entry) for entry in entries if entry.family == family]
    return "\n".join(parts)


def public_name(value: Any) -> str:
    """Return where users find an op or a module: ``dropkit.<room>.<name>``."""
    room = value.__module__.split(".")[1]
    return f"dropkit.{room}.{value.__qualname__}"


def usage(entry: Variant) -> list[str]:
    """Return lines of Python that use ``entry`` as a layer and, where a rule can attach it, in a plan."""
    module, _ = entry.example()
    lines = [
        f"dk.{_room(module)}.{line}" if i == 0 else line for i, line in enumerate(repr(module).splitlines())
    ]
    if entry.op is not None and entry.at and entry.default_rate is not None:
        lines.append(f'dk.Rule(at="{entry.at[0]}", variant="{entry.name}", rate={entry.default_rate:g})')
    return lines


def _room(module: Any) -> str:
    name: str = type(module).__module__
    return name.split(".")[1] if name.startswith("dropkit.") else name


def _section(entry: Variant) -> str:
    names = " and ".join(f"`{public_name(value)}`" for value in _subjects(entry))
    rate = "none" if entry.default_rate is None else f"{entry.default_rate:g}"
    facts = [
        f"{names} ({entry.kind})",
        f"Law: {entry.law}",
        f"Default rate: {rate}. At: {', '.join(entry.at) or 'where you call it'}. "
        f"Samples at prediction: {'yes' if entry.samples else 'no'}",
        f"Source: {entry.paper}",
    ]
    return f"### {entry.name}\n\n{_first_line(entry)}\n\n" + "\n".join(f"- {fact}" for fact in facts) + "\n"


def _subjects(entry: Variant) -> list[Any]:
    """Return the op and the module of ``entry``, or what there is of them; of a schedule, its class or function."""
    found = [value for value in (entry.op, entry.module) if value is not None]
    if found:
        return found
    from dropkit import nn

    rate = getattr(entry.example()[0], "rate", None)
    return [getattr(nn, entry.name) if rate is None else type(rate)]


def _first_line(entry: Variant) -> str:
    text: str = _subjects(entry)[0].__doc__
    return re.sub(r":\w+:(`[^`]+`)", r"\1", text.strip().splitlines()[0]).replace("``", "`")
