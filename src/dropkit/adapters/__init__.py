"""Adapters to other people's training loops: masks and schedules go on with every optimiser step.

Each module imports its library, which an extra of dropkit brings: ``lightning``, ``hf``, ``skorch``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropkit.adapters import hugging_face, lightning, skorch

__all__ = ["hugging_face", "lightning", "skorch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'dropkit.adapters' has no attribute {name!r}")
    return import_module(f"dropkit.adapters.{name}")
