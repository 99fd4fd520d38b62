"""Configurations in the manner of Hugging Face, which modules read or were built from."""

from __future__ import annotations

from typing import Any

from dropkit.surgery.tree import Tree


def configs(tree: Tree) -> list[Any]:
    """Return the configurations that modules hold in ``config``, each once."""
    held = (vars(module).get("config") for module in tree.modules.values())
    found = {id(config): config for config in held if hasattr(config, "model_type")}
    return list(found.values())
