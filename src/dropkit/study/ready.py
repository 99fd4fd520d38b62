"""Ready-made plans in a configuration: ``rules = "srivastava-2014"``, or a table ``ready`` with options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dropkit.core import InputError
from dropkit.study.values import bad


def spelled_out(table: Any) -> Any:
    """Return the table of a plan with a ready-made one under ``ready``, and rules, if only none."""
    if not isinstance(table, Mapping):
        return table
    if isinstance(table.get("rules"), str):
        if table.get("ready") is not None:
            raise bad("must hold rules or ready, not both")
        return {**table, "rules": (), "ready": {"name": table["rules"]}}
    if table.get("ready") is None:
        return table
    if table.get("rules"):
        raise bad("must hold rules or ready, not both")
    return {**table, "rules": ()}


def ready_table(value: Any) -> Any:
    """Accept the name and the options of a ready-made plan, or nothing."""
    if value is None:
        return None
    from dropkit.surgery import ready  # brings torch

    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise bad(f"must be a table with the name of a ready-made plan, got {value!r}")
    try:
        ready(value["name"], **{key: option for key, option in value.items() if key != "name"})
    except (InputError, TypeError) as error:
        raise bad(f"is no ready-made plan: {error}") from None
    return dict(value)
