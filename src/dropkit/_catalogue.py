"""The catalogue as users see it: importing the rooms that hold variants is what fills the registry."""

import dropkit.nn  # noqa: F401  (its modules register themselves)
from dropkit.core.registry import catalogue, variant

__all__ = ["catalogue", "variant"]
