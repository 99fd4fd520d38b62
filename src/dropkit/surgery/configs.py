"""Configurations in the manner of Hugging Face, which modules read or were built from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dropkit.surgery.tree import Tree


def configs(tree: Tree) -> list[Any]:
    """Return the configurations that modules hold in ``config``, each once."""
    held = (vars(module).get("config") for module in tree.modules.values())
    found = {id(config): config for config in held if hasattr(config, "model_type")}
    return list(found.values())


def rate_fields(config: Any) -> Iterator[str]:
    """Yield the fields of a configuration that hold rates of dropping."""
    for name, value in vars(config).items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if "drop" in name and number and 0.0 <= value <= 1.0:
            yield name
