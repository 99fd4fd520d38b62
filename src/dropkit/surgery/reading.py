"""Plans read from JSON: every field is checked before anything is made of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

from dropkit.core import InputError, PlanError
from dropkit.surgery.calls import NAMES
from dropkit.surgery.plans import SCHEMA, Place, Plan, Site, site_id
from dropkit.surgery.rates import site_rate
from dropkit.surgery.rules import On, Rule

_FUNCTIONS = frozenset(NAMES.values())


class _Kind(NamedTuple):
    """What a field may hold: a test, and the words for it."""

    holds: Callable[[Any], bool]
    words: str


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _function(value: Any) -> bool:
    return isinstance(value, str) and (not value or value in _FUNCTIONS)


_TEXT = _Kind(lambda value: isinstance(value, str), "a string")
_TEXTS = _Kind(_texts, "a list of strings")
_OBJECT = _Kind(lambda value: isinstance(value, dict), "an object")
_COUNT = _Kind(lambda value: type(value) is int and value >= 0, "a whole number from 0 on")
_RATE = _Kind(lambda value: _number(value) or isinstance(value, dict), "a number in [0, 1] or a schedule")

_RULE = {
    "at": _Kind(lambda value: isinstance(value, str) or _texts(value), "a string or a list of strings"),
    "variant": _TEXT,
    "rate": _Kind(lambda value: value is None or _RATE.holds(value), f"null, {_RATE.words}"),
    "except_": _TEXTS,
    "on": _TEXT,
    "options": _OBJECT,
    "override": _Kind(lambda value: isinstance(value, bool), "true or false"),
}
_SITE = {
    "id": _TEXT,
    "module": _TEXT,
    "on": _Kind(lambda value: value in get_args(Place), f"one of {', '.join(get_args(Place))}"),
    "variant": _TEXT,
    "rate": _RATE,
    "options": _OBJECT,
    "type": _TEXT,
    "function": _Kind(_function, "the name of a function, or empty"),
    "index": _COUNT,
    "argument": _COUNT,
    "rule": _COUNT,
}
_LISTS = _Kind(lambda value: isinstance(value, list), "a list")
_PLAN = {
    "schema": _COUNT,
    "rules": _LISTS,
    "sites": _LISTS,
    "callers": _TEXTS,
    "notes": _TEXTS,
}


def read_plan(text: str) -> Plan:
    """Return the plan that ``text`` is; see :meth:`Plan.from_json`."""
    try:
        body = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise PlanError(f"a plan must be JSON as Plan.to_json() writes it: {error}") from None
    if not isinstance(body, dict) or "schema" not in body:
        raise PlanError("a plan must be a JSON object with the key 'schema', as Plan.to_json() writes it")
    if body["schema"] != SCHEMA:
        raise PlanError(f"plan has schema {body['schema']!r}, this version reads {SCHEMA}; plan again")
    _check("plan", body, _PLAN)
    rules = tuple(_rule(number, given) for number, given in enumerate(body["rules"]))
    sites = tuple(_site(number, given, len(rules)) for number, given in enumerate(body["sites"]))
    known: set[str] = set()
    for site in sites:
        if site.id in known:
            raise PlanError(f"the plan has site {site.id!r} twice; plan again")
        known.add(site.id)
    return Plan(rules=rules, sites=sites, callers=tuple(body["callers"]), notes=tuple(body["notes"]))


def _check(what: str, given: Any, kinds: Mapping[str, _Kind], number: int | None = None) -> None:
    which = what if number is None else f"{what} {number} of the plan"
    if not isinstance(given, dict):
        raise PlanError(f"{which} must be a JSON object, got {given!r}")
    for key in given:
        if key not in kinds:
            near = get_close_matches(key, kinds, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "write plans with Plan.to_json()"
            raise PlanError(f"{what} has an unknown key {key!r}; {hint}")
    missing = kinds.keys() - given.keys()
    if missing:
        raise PlanError(f"{what} lacks {', '.join(sorted(missing))}; write it with Plan.to_json()")
    for key, kind in kinds.items():
        if not kind.holds(given[key]):
            raise PlanError(f"{which}: {key} must be {kind.words}, got {given[key]!r}")


def _rule(number: int, given: Any) -> Rule:
    _check("rule", given, _RULE, number)
    return _made(f"rule {number} of the plan", given)


def _made(what: str, given: Mapping[str, Any]) -> Rule:
    """Return the rule with these arguments, which refuses what it cannot use in errors of many classes."""
    try:
        return Rule(**given)
    except InputError as error:
        raise PlanError(f"{what}: {error}") from None


def _site(number: int, given: Any, rules: int) -> Site:
    _check("site", given, _SITE, number)
    site = Site(**given)
    what = f"site {site.id!r}"
    if site.id != site_id(site.module, site.on, site.function, site.index):
        raise PlanError(f"{what} does not go with its module, on, function and index; plan again")
    for key, has in (("index", bool(site.function)), ("argument", site.function and site.on == "branch")):
        if given[key] and not has:
            raise PlanError(f"{what} has no {key}, got {key} {given[key]!r}; plan again")
    if site.rule >= rules:
        raise PlanError(f"{what} belongs to rule {site.rule!r}, of {rules}; plan again")
    on: On = "weight" if site.on == "weight" else "output"
    try:
        rate = site_rate(site.rate, f"rate of {what}")
    except InputError as error:
        raise PlanError(str(error)) from None
    # as strict as a rule
    options = {"variant": site.variant, "options": site.options}
    checked = _made(what, {**options, "at": site.id, "rate": rate, "on": on})
    return replace(site, rate=rate, options=checked.options)
