"""What an audit found, as data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from dropkit.surgery.table import table

SCHEMA = 1


@dataclass(frozen=True)
class AuditSite:
    """One place where a model is random.

    Attributes:
        id: ``<module>``, or ``<module>:<function>#k`` for the k-th call of a function in one forward of the module
            that makes it. The root module's name is empty.
        kind: ``"dropout"``, ``"attention"``, ``"recurrent"``, the name of a variant or of the class that drops; for
            numbers drawn by hand the name of the function that drew them.
        rate: Probability of dropping, or None where it is unknown.
        shape: Shape of the tensor that is hit (for attention: of the probabilities), or None if the forward never
            came here.
        share: That tensor's elements, of all activations: the outputs of modules without children, and what the
            sites hit. 0 if the forward never came here.
        active_in_eval: Whether it is random in eval mode, too.
        controllable: Whether :func:`dropkit.set_rate` can set its rate.
        source: ``file:line`` of the call, or the class of the module.
    """

    id: str
    kind: str
    rate: float | None
    shape: tuple[int, ...] | None
    share: float
    active_in_eval: bool
    controllable: bool
    source: str


@dataclass(frozen=True)
class AuditWarning:
    """A known mistake.

    Attributes:
        code: A short constant name of the mistake.
        site: Id of the site concerned, or of a module; empty where it is the whole model.
        message: What is wrong and what to do.
    """

    code: str
    site: str
    message: str


@dataclass(frozen=True)
class Audit:
    """Every stochastic site of a model, and what is suspicious about them. ``print`` it for a table.

    Attributes:
        sites: The sites, in the order in which a forward pass meets them; those it never met at the end.
        warnings: Known mistakes.
        traced: Whether forward passes were watched; without, only modules are known.
    """

    sites: tuple[AuditSite, ...]
    warnings: tuple[AuditWarning, ...]
    traced: bool

    def to_json(self) -> str:
        """Return the audit as JSON, keys sorted."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True)

    def __str__(self) -> str:
        """Return a table, then the warnings."""
        heads = ("site", "kind", "rate", "shape", "share", "in eval", "settable", "source")
        lines = table(heads, [_row(site, self.traced) for site in self.sites]) or ["no random site found"]
        if not self.traced:
            lines.append(
                "no example input was given: only modules were looked at, not what their forwards call; "
                "dk.audit(model, x) sees that too"
            )
        if self.warnings:
            lines += ["", f"{len(self.warnings)} warning{'s' if len(self.warnings) > 1 else ''}:"]
            lines += [f"  {w.code}: {w.site or '(model)'}: {w.message}" for w in self.warnings]
        return "\n".join(lines)


def _row(site: AuditSite, traced: bool) -> tuple[str, ...]:
    unknown = "not reached" if traced else ""
    return (
        site.id or "(model)",
        site.kind,
        "unknown" if site.rate is None else f"{site.rate:g}",
        unknown if site.shape is None else "x".join(map(str, site.shape)) or "-",
        f"{site.share:.1%}" if site.share else "",
        "active" if site.active_in_eval else "",
        "yes" if site.controllable else "no",
        _near(site.source),
    )


def _near(source: str) -> str:
    """Return paths as they look from the working directory, where that is shorter."""
    here = str(Path.cwd()) + "/"
    return ", ".join(part.removeprefix(here) for part in source.split(", "))
