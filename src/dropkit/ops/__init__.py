"""Stateless differentiable functions: ``op(x, rate, *, training, generator=None, site=None)``."""

from dropkit.ops.attention import MaskError, attention
from dropkit.ops.paths import drop_path, fractal_drop_path, shake_drop, shake_shake, stochastic_depth, swapout
from dropkit.ops.spatial import spatial_dropout1d, spatial_dropout2d, spatial_dropout3d
from dropkit.ops.units import ScalingError, alpha_dropout, dropout, feature_alpha_dropout, gaussian_dropout
from dropkit.ops.weights import drop_connect, mixout, targeted_unit_dropout, targeted_weight_dropout

__all__ = [
    "MaskError",
    "ScalingError",
    "alpha_dropout",
    "attention",
    "drop_connect",
    "drop_path",
    "dropout",
    "feature_alpha_dropout",
    "fractal_drop_path",
    "gaussian_dropout",
    "mixout",
    "shake_drop",
    "shake_shake",
    "spatial_dropout1d",
    "spatial_dropout2d",
    "spatial_dropout3d",
    "stochastic_depth",
    "swapout",
    "targeted_unit_dropout",
    "targeted_weight_dropout",
]
