"""A configuration as text: one text for one meaning."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from dropkit.core import ConfigError
from dropkit.study.config import StudyConfig


def config_text(config: StudyConfig) -> str:
    """Return ``config`` as TOML: one text for one meaning, whatever the order, comments and defaults it came with.

    Values left to their defaults are written out, so that the text says all there is to say, and means the same
    after a default has changed.
    """
    given = config.model_dump(by_alias=True)
    if config.keep_weights:  # unwritten, so that folders from before there was this key can go on
        del given["keep_weights"]
    lines = [f"{key} = {_toml(value)}" for key, value in given.items() if not isinstance(value, dict)]
    given["train"] = config.train_config().to_dict()
    for table, values in ((table, given[table]) for table in ("data", "model", "train")):
        lines += ["", f"[{table}]"]
        lines += [f"{_key(key)} = {_toml(value)}" for key, value in values.items() if value is not None]
    for name, plan in given["plans"].items():
        lines += ["", f"[plans.{_key(name)}]", *_plan(plan)]
        if plan["own_rates"]:
            lines += ["own_rates = [", *(f"    {_toml(own)}," for own in plan["own_rates"]), "]"]
    return "\n".join(lines) + "\n"


def _plan(plan: Mapping[str, Any]) -> list[str]:
    if plan["ready"] is not None:
        alone = len(plan["ready"]) == 1
        return [f"rules = {_toml(plan['ready']['name'])}" if alone else f"ready = {_toml(plan['ready'])}"]
    rules = [f"    {_toml(_present(rule))}," for rule in plan["rules"]]
    return ["rules = [", *rules, "]"] if rules else ["rules = []"]


def _present(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the exceptions and options that a rule does not have: they would only clutter it."""
    return {key: value for key, value in rule.items() if value or key in ("at", "variant", "rate", "on")}


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: Any) -> str:
    """Return ``value`` as a TOML value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        escaped = "".join(
            f"\\u{ord(c):04x}" if c < " " or c == "\x7f" else "\\" + c if c in '"\\' else c for c in value
        )
        return f'"{escaped}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    raise ConfigError(f"a config holds text, numbers, true, false, lists and tables, got {value!r}")
