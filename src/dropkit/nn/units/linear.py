"""What modules that act inside a linear layer ask of it."""

from __future__ import annotations

from torch import nn

from dropkit.core import ModuleError


def check_linear(name: str, layer: object) -> None:
    """Raise ``ModuleError`` unless ``layer`` is an ``nn.Linear``."""
    if not isinstance(layer, nn.Linear):
        raise ModuleError(
            f"{name} needs an nn.Linear, got {type(layer).__name__}; wrap one, e.g. nn.Linear(64, 10)"
        )
