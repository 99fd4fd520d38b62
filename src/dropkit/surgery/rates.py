"""What a rule may say as its rate: a number, a schedule, the linear rule of depth; and each of them as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from dropkit.core import InputError, PlanError, check_rate
from dropkit.nn import CallableSchedule, LinearByDepth, schedule_from_dict, schedule_to_dict
from dropkit.random import Schedule

SiteRate: TypeAlias = float | Schedule
RuleRate: TypeAlias = SiteRate | LinearByDepth


def rule_rate(value: Any, whose: str) -> RuleRate:
    """Return ``value`` as the rate of a rule.

    Args:
        value: A number in ``[0, 1]``; a schedule; a function from the step to a rate; :class:`LinearByDepth`; or plain
            data, ``{"name": "linear", "start": 0.5, ...}``.
        whose: Begins the text of an error, e.g. ``"rate of the rule at 'hidden'"``.

    Raises:
        RateError: It is none of these, or outside ``[0, 1]``.
        InputError: The data is no schedule's.
    """
    if isinstance(value, Schedule | LinearByDepth):
        return value
    if isinstance(value, Mapping):
        return schedule_from_dict(value)
    if callable(value) and not hasattr(value, "__float__"):
        return CallableSchedule(value)
    return check_rate(value, whose)


def site_rate(value: Any, whose: str) -> SiteRate:
    """Return ``value`` as the rate of a site: the same, but that depth means nothing to one site."""
    rate = rule_rate(value, whose)
    if isinstance(rate, LinearByDepth):
        raise PlanError(f"{whose}: a site has a rate of its own, got {rate!r}; plan again")
    return rate


def plain_rate(rate: RuleRate | None, whose: str) -> Any:
    """Return ``rate`` as JSON can hold it; raise ``PlanError`` where it is code."""
    if not isinstance(rate, Schedule | LinearByDepth):
        return rate
    try:
        return schedule_to_dict(rate)
    except InputError as error:
        raise PlanError(f"{whose}: {error}") from None


def shown(rate: SiteRate) -> str:
    """Return ``rate`` as a table shows it."""
    return f"{rate:g}" if isinstance(rate, int | float) else repr(rate)
