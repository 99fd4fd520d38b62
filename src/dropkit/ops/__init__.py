"""Stateless differentiable functions: ``op(x, rate, *, training, generator=None, site=None)``."""

from dropkit.ops.alpha_dropout import alpha_dropout
from dropkit.ops.dropout import ScalingError, dropout
from dropkit.ops.gaussian_dropout import gaussian_dropout
from dropkit.ops.paths import drop_path
from dropkit.ops.spatial_dropout import spatial_dropout1d, spatial_dropout2d, spatial_dropout3d

__all__ = [
    "ScalingError",
    "alpha_dropout",
    "drop_path",
    "dropout",
    "gaussian_dropout",
    "spatial_dropout1d",
    "spatial_dropout2d",
    "spatial_dropout3d",
]
