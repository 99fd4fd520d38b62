"""Weights: wrappers that drop or replace weights of a layer which stays as it is."""

from dropkit.nn.weights.drop_connect import DropConnect
from dropkit.nn.weights.mixout import Mixout
from dropkit.nn.weights.targeted_dropout import TargetedUnitDropout, TargetedWeightDropout
from dropkit.nn.weights.weight_drop import WeightDrop

__all__ = ["DropConnect", "Mixout", "TargetedUnitDropout", "TargetedWeightDropout", "WeightDrop"]
