"""Losses and regularisers over a model and its outputs."""

from dropkit.objectives.arm import arm
from dropkit.objectives.marginalised_dropout import MarginalisedDropout, marginalised_dropout
from dropkit.objectives.penalty import penalty

__all__ = ["MarginalisedDropout", "arm", "marginalised_dropout", "penalty"]
