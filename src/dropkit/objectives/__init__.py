"""Losses and regularisers over a model and its outputs."""

from dropkit.objectives.arm import arm
from dropkit.objectives.penalty import penalty

__all__ = ["arm", "penalty"]
