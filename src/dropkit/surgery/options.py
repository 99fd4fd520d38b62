"""Which options the op or module of a variant takes, and what kind of value each may have in a plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from sys import float_info
from typing import Any

from dropkit.core import Variant
from dropkit.surgery.forms import held_options, is_held, weight_op, wraps_module

_SUPPLIED = {"rate", "training", "generator", "site", "branch"}  # arguments of every op that are not options
_OF_WEIGHTS = {
    "copies",
    "target",
}  # and of ops of weights: a forward has one mask, and the start is the target


def options_of(entry: Variant, on: str) -> dict[str, str]:
    """Return the options that ``entry`` takes there, sorted by name, each with its annotation."""
    if is_held(entry):
        found = dict(held_options(entry))
    else:
        op: Any = weight_op(entry) if on == "weight" else entry.module if wraps_module(entry) else entry.op
        if op is None:
            return {}
        _, *rest = inspect.signature(op).parameters.values()  # the first is the tensor, or the module
        supplied = _SUPPLIED | _OF_WEIGHTS if on == "weight" else _SUPPLIED
        found = {p.name: p for p in rest if p.name not in supplied}
    known = {name: str(p.annotation) for name, p in found.items()}
    if on == "weight" and entry.name == "drop_connect":
        known["per_sample"] = "bool"
    return dict(sorted(known.items()))


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def _number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) <= float_info.max)


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "Rate": (_number, "a number in [0, 1]"),
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "str": (lambda value: isinstance(value, str), "a string"),
    "None": (lambda value: value is None, "None"),
    "Tensor": (lambda value: False, "a tensor, which no plan can hold"),
    "Sequence[int]": (lambda value: False, "a list, which no plan can hold"),
}


def misfit(name: str, value: Any, annotation: str) -> str | None:
    """Say what the option ``name`` must be instead of ``value``, or return None; other kinds are left to the op."""
    if value != value:
        return f"option {name!r} must be a string or a number, got {value!r}"
    kinds = [_KINDS.get(part.strip()) for part in annotation.split("|")]
    if any(kind is None or kind[0](value) for kind in kinds):
        least_one = name == "features" and type(value) is int and value < 1
        return f"option {name!r} must be at least 1, got {value!r}" if least_one else None
    words = " or ".join(kind[1] for kind in kinds if kind is not None)
    return f"option {name!r} must be {words}, got {value!r}"
