"""Rates that change with the step, as a configuration writes them: ``{ schedule = "linear", start = 0.5, ... }``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dropkit.core import InputError
from dropkit.study.values import bad, rates


def rate_or_schedule(value: Any) -> Any:
    """Accept a rate, a list of them, nothing, or the table of a schedule; return that with every argument written out.

    With ``steps_per_epoch`` beside its arguments a schedule counts epochs.
    """
    if not isinstance(value, Mapping):
        return rates(value)
    from dropkit.nn import schedule_from_dict, schedule_to_dict  # brings torch

    if not isinstance(value.get("schedule"), str):
        raise bad(f"must name its schedule, {{ schedule = 'linear', ... }}, got {dict(value)!r}")
    try:
        full = schedule_to_dict(schedule_from_dict(schedule_data(value)))
    except InputError as error:
        raise bad(f"is no schedule: {error}") from None
    epochs = {key: full[key] for key in ("steps_per_epoch",) if key in full}
    inner = full["schedule"] if epochs else full
    return {"schedule": inner.pop("name"), **inner, **epochs}


def schedule_data(rate: Any) -> Any:
    """Return the table of a schedule as :class:`dropkit.Rule` takes it; any other rate as it is."""
    if not isinstance(rate, Mapping):
        return rate
    data = {key: item for key, item in rate.items() if key not in ("schedule", "steps_per_epoch")}
    data["name"] = rate["schedule"]
    if "steps_per_epoch" not in rate:
        return data
    return {"name": "by_epoch", "schedule": data, "steps_per_epoch": rate["steps_per_epoch"]}
