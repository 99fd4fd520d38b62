"""The catalogue as users see it: importing the rooms that hold variants is what fills the registry."""

import dropkit.nn
import dropkit.objectives  # noqa: F401  (the same)
from dropkit.core.registry import catalogue, variant

__all__ = ["catalogue", "variant"]
