"""Schedules as plain data: what JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from dropkit.core import OptionError, unknown_name
from dropkit.nn.schedules.annealed import AnnealedSchedule
from dropkit.nn.schedules.by_epoch import ByEpoch
from dropkit.nn.schedules.cosine import CosineSchedule
from dropkit.nn.schedules.curriculum import CurriculumSchedule
from dropkit.nn.schedules.early_late import EarlyDropout, LateDropout
from dropkit.nn.schedules.linear import LinearSchedule
from dropkit.nn.schedules.linear_by_depth import LinearByDepth
from dropkit.random import Schedule

_SCHEDULES: dict[str, type[Any]] = {
    "annealed": AnnealedSchedule,
    "by_epoch": ByEpoch,
    "cosine_schedule": CosineSchedule,
    "curriculum": CurriculumSchedule,
    "early_dropout": EarlyDropout,
    "late_dropout": LateDropout,
    "linear_by_depth": LinearByDepth,
    "linear_schedule": LinearSchedule,
}
_SHORT = {"cosine": "cosine_schedule", "linear": "linear_schedule"}
_NAMES = {kind: name for name, kind in _SCHEDULES.items()}


def schedule_to_dict(schedule: Schedule | LinearByDepth) -> dict[str, Any]:
    """Return ``schedule``, or the rule of depth, as plain data, ``{"name": name, argument: value, ...}``.

    Raises:
        OptionError: It is a function or a class of your own, which no data can bring back.
    """
    name = _NAMES.get(type(schedule))
    if name is None:
        raise OptionError(
            f"{schedule!r} cannot be saved, as it is code and not numbers; use one of the schedules "
            f"{', '.join(sorted(_SCHEDULES))}"
        )
    values = {field.name: getattr(schedule, field.name) for field in fields(schedule)}  # type: ignore[arg-type]
    return {"name": name} | {
        key: schedule_to_dict(value) if isinstance(value, Schedule) else value
        for key, value in values.items()
    }


def schedule_from_dict(data: Mapping[str, Any]) -> Schedule | LinearByDepth:
    """Return the schedule that :func:`schedule_to_dict` wrote; ``"linear"`` and ``"cosine"`` are names, too.

    Raises:
        UnknownNameError: There is no schedule of that name.
        OptionError: The data is no schedule's, an argument is missing or unknown, or a value is illegal.
        RateError: A rate is outside ``[0, 1]``.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise OptionError(f"a saved schedule is an object with the key 'name', got {data!r}")
    given_name: str = data["name"]
    name = _SHORT.get(given_name, given_name)
    if name not in _SCHEDULES:
        raise unknown_name("schedule", name, [*_SCHEDULES, *_SHORT])
    given = {key: value for key, value in data.items() if key != "name"}
    known = {field.name: field.default is MISSING for field in fields(_SCHEDULES[name])}
    for key in given:
        if key not in known:
            raise OptionError(f"schedule {name!r} has no argument {key!r}; it takes {', '.join(known)}")
    missing = [key for key, needed in known.items() if needed and key not in given]
    if missing:
        raise OptionError(f"schedule {name!r} lacks {', '.join(missing)}")
    if isinstance(given.get("schedule"), Mapping):
        given["schedule"] = schedule_from_dict(given["schedule"])
    made: Schedule | LinearByDepth = _SCHEDULES[name](**given)
    return made
