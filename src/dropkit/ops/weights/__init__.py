"""Weights: drop or replace elements of a parameter, one mask for all rows of a batch."""

from dropkit.ops.weights.drop_connect import drop_connect
from dropkit.ops.weights.mixout import mixout
from dropkit.ops.weights.targeted_dropout import targeted_unit_dropout, targeted_weight_dropout

__all__ = ["drop_connect", "mixout", "targeted_unit_dropout", "targeted_weight_dropout"]
