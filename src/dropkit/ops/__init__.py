"""Stateless differentiable functions: ``op(x, rate, *, training, generator=None, site=None)``."""

from dropkit.ops import fused
from dropkit.ops.attention import MaskError, attention
from dropkit.ops.conditional import attention_based_dropout, conditional, guided_dropout
from dropkit.ops.learned import (
    concrete_dropout,
    concrete_dropout1d,
    concrete_dropout2d,
    concrete_dropout3d,
    information_dropout,
    variational_dropout,
)
from dropkit.ops.paths import drop_path, fractal_drop_path, shake_drop, shake_shake, stochastic_depth, swapout
from dropkit.ops.plastic import drop_in, excitation_dropout, quantal_synaptic_dilution
from dropkit.ops.spatial import spatial_dropout1d, spatial_dropout2d, spatial_dropout3d
from dropkit.ops.units import ScalingError, alpha_dropout, dropout, feature_alpha_dropout, gaussian_dropout
from dropkit.ops.weights import drop_connect, mixout, targeted_unit_dropout, targeted_weight_dropout

__all__ = [
    "MaskError",
    "ScalingError",
    "alpha_dropout",
    "attention",
    "attention_based_dropout",
    "concrete_dropout",
    "concrete_dropout1d",
    "concrete_dropout2d",
    "concrete_dropout3d",
    "conditional",
    "drop_connect",
    "drop_in",
    "drop_path",
    "dropout",
    "excitation_dropout",
    "feature_alpha_dropout",
    "fractal_drop_path",
    "fused",
    "gaussian_dropout",
    "guided_dropout",
    "information_dropout",
    "mixout",
    "quantal_synaptic_dilution",
    "shake_drop",
    "shake_shake",
    "spatial_dropout1d",
    "spatial_dropout2d",
    "spatial_dropout3d",
    "stochastic_depth",
    "swapout",
    "targeted_unit_dropout",
    "targeted_weight_dropout",
    "variational_dropout",
]
