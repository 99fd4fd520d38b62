"""What :func:`dropkit.predict` was asked for, checked."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from difflib import get_close_matches
from inspect import Parameter
from math import isfinite
from numbers import Real
from typing import Any

from torch import nn

from dropkit.core import ConfigError, whole_number
from dropkit.random.key import seed_words
from dropkit.surgery.tree import unwrap

_KNOWN = {
    "task": (None, "classification", "regression"),
    "outputs": ("logits", "probabilities"),
    "mode": ("auto", "vmap", "expand", "loop"),
    "share_masks": (True, False),
    "keep_members": (True, False),
    "progress": (None, True, False),
}


def check_arguments(
    *, members: Any, seed: Any, batch_dim: Any, memory: Any, tolerance: Any, **choices: Any
) -> int:
    """Return ``members`` as an int; raise ``ConfigError`` or ``StreamError`` where an argument makes no sense."""
    count = whole_number(members)
    if count is None or count < 1:
        raise ConfigError(f"members must be a whole number of at least 1, got {members!r}")
    seed_words(seed)
    if whole_number(batch_dim) is None:
        raise ConfigError(f"batch_dim must be a whole number, got {batch_dim!r}")
    for name, value in choices.items():
        if not any(value is known or (isinstance(known, str) and value == known) for known in _KNOWN[name]):
            raise ConfigError(f"{name} must be one of {', '.join(map(repr, _KNOWN[name]))}, got {value!r}")
    for name, value in (("memory", memory), ("tolerance", tolerance)):
        if value is not None and not _is_amount(value):
            raise ConfigError(f"{name} must be a number above 0, got {value!r}")
    return count


def check_names(model: nn.Module, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ``ConfigError`` for a keyword that neither the model's forward takes nor is one of ``known``.

    A forward that takes any keyword, or does not tell what it takes, is left to judge by itself.
    """
    try:
        parameters = inspect.signature(unwrap(model).forward).parameters.values()
    except (TypeError, ValueError):
        return
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return
    names = [
        p.name for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    ]
    for name in given:
        if name not in names:
            near = get_close_matches(name, [*known, *names], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the forward takes {', '.join(names) or 'none'}"
            raise ConfigError(f"neither predict nor the model's forward has an argument {name!r}; {hint}")


def _is_amount(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value) and float(value) > 0
