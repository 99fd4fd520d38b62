"""Learned noise: gradients reach the rate, or the variance."""

from dropkit.ops.learned.concrete_dropout import (
    concrete_dropout,
    concrete_dropout1d,
    concrete_dropout2d,
    concrete_dropout3d,
)
from dropkit.ops.learned.information_dropout import information_dropout
from dropkit.ops.learned.variational_dropout import variational_dropout

__all__ = [
    "concrete_dropout",
    "concrete_dropout1d",
    "concrete_dropout2d",
    "concrete_dropout3d",
    "information_dropout",
    "variational_dropout",
]
