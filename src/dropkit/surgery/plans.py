"""Plans: rules and the sites they were resolved to, as data. A plan holds no module and no tensor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from dropkit.core import PlanError
from dropkit.surgery.rates import SiteRate, plain_rate, shown
from dropkit.surgery.rules import Options, OptionValue, Rule
from dropkit.surgery.table import table

if TYPE_CHECKING:
    from torch import nn

    from dropkit.surgery.applied import Applied

Place = Literal["output", "input", "attention", "branch", "layer", "weight"]

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Site:
    """One place where dropout acts.

    Args:
        id: Name of the site, which alone (with the stream's key) decides its masks: ``<module>``,
            ``<module>:<on>``, ``<module>:<function>#k`` or, at another place than the output of that call,
            ``<module>:<function>#k:<on>``. The root module's name is empty; dropout on its output is
            ``:output``.
        module: Dotted name of the module attached to, or of the one whose forward calls ``function``.
        on: ``"output"``, ``"input"``, ``"attention"`` (inside of a call that computes attention), ``"branch"`` (a
            module's output, or a term of a sum, that somebody adds to that module's input), ``"layer"`` (all of
            it) or ``"weight"``.
        variant: Name in the catalogue.
        rate: Probability of dropping, in ``[0, 1]``, or the schedule that gives it for a step.
        options: Further arguments of the variant's op.
        type: Class of ``module``, checked when the plan is applied.
        function: Canonical name of the function called, or empty for a module's own input or output.
        index: Number ``k`` of the call, counted by function name from 0 in each forward of ``module``.
        argument: Which argument of ``function`` the branch is, if it is one.
        rule: Index in ``Plan.rules`` of the rule it comes from; -1 for a site that no rule put there.
    """

    id: str
    module: str
    on: Place
    variant: str
    rate: SiteRate
    options: Mapping[str, OptionValue] = field(default_factory=Options)
    type: str
    function: str = ""
    index: int = 0
    argument: int = 0
    rule: int = -1


def site_id(module: str, on: str, function: str = "", index: int = 0) -> str:
    """Return the id of a site."""
    if function:
        return f"{module}:{function}#{index}" + ("" if on == "output" else f":{on}")
    return module if module and on == "output" else f"{module}:{on}"


@dataclass(frozen=True)
class Plan:
    """What would be attached where. Made by :func:`dropkit.plan`; ``print`` it for a dry run.

    Args:
        rules: The rules, as given.
        sites: What they match, in the order of the model.
        callers: Names of the modules seen calling activation functions on the example; they bound the count
            ``k`` of functional sites.
        notes: Remarks for the reader; not part of equality or of the hash.
    """

    rules: tuple[Rule, ...]
    sites: tuple[Site, ...]
    callers: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def apply(self, model: nn.Module) -> Applied:
        """Attach the plan to ``model``, all of it or, on any error, nothing.

        The model's parameters, buffers, state_dict keys and training flags stay as they are; dropout acts where
        the module it is attached to is in training mode.

        Args:
            model: The model planned for, or one with modules of the same names and types.

        Returns:
            Applied: a handle with ``revert()``, and a context manager that reverts on exit.

        Raises:
            NoMatchError: A site's module is not in the model.
            PlanError: The plan, or another one with a site in common, is attached already; or a module has
                another type than planned for.
        """
        from dropkit.surgery.applying import apply  # applying needs this module

        return apply(self, model)

    def to_json(self) -> str:
        """Return the plan as JSON: keys sorted, equal plans give equal text.

        Raises:
            PlanError: A rate is a function or a schedule of your own: code, which JSON cannot hold.
        """
        body = {"schema": SCHEMA, "rules": [_plain(rule) for rule in self.rules]}
        body |= {"sites": [_plain(site) for site in self.sites]}
        body |= {"callers": list(self.callers), "notes": list(self.notes)}
        return json.dumps(body, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the plan that :meth:`to_json` wrote.

        Raises:
            PlanError: The text is no plan, or one of another schema, or a field is not what it must be.
        """
        from dropkit.surgery.reading import read_plan  # reading needs this module

        return read_plan(text)

    def __add__(self, other: Plan) -> Plan:
        """Return the plan with the rules of both; conflicts are settled as between rules of one plan."""
        if not isinstance(other, Plan):
            return NotImplemented
        rules = self.rules + other.rules
        shifted = (replace(site, rule=site.rule + len(self.rules)) for site in other.sites)
        return Plan(
            rules=rules,
            sites=settle((*self.sites, *shifted), rules),
            callers=tuple(dict.fromkeys((*self.callers, *other.callers))),
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
        )

    def __str__(self) -> str:
        """Return a table: a line a site, then the notes."""
        heads = ("site", "on", "variant", "rate", "options", "module", "rule")
        rows = [
            (
                site.id,
                site.on,
                site.variant,
                shown(site.rate),
                ", ".join(f"{key}={value}" for key, value in site.options.items()),
                site.type,
                f"{site.rule}: at={self.rules[site.rule].at!r}",
            )
            for site in self.sites
        ]
        title = f"plan: {len(self.rules)} rule(s), {len(self.sites)} site(s)"
        return "\n".join([title, *table(heads, rows), *(f"note: {note}" for note in self.notes)])


def settle(sites: Iterable[Site], rules: tuple[Rule, ...]) -> tuple[Site, ...]:
    """Return ``sites`` with one entry a site: rules with ``override`` win, the later over the earlier.

    Raises:
        PlanError: Two rules match one site and neither overrides.
    """
    kept: dict[str, Site] = {}
    for site in sites:
        held = kept.get(site.id)
        if held is None or rules[site.rule].override:
            kept[site.id] = site
        elif held.rule != site.rule and not rules[held.rule].override:
            raise PlanError(
                f"rules {held.rule} (at={rules[held.rule].at!r}) and {site.rule} (at={rules[site.rule].at!r}) both "
                f"match site {site.id!r}; narrow one with except_=, or set override=True on the one that wins"
            )
    return tuple(kept.values())


def _plain(item: Rule | Site) -> dict[str, Any]:
    values = {f.name: getattr(item, f.name) for f in fields(item)}
    whose = f"site {item.id!r}" if isinstance(item, Site) else f"rule at {item.at!r}"
    return values | {"options": dict(item.options), "rate": plain_rate(item.rate, whose)}
