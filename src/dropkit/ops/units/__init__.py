"""Unit noise: drop or perturb single units."""

from dropkit.ops.units.additive_gaussian_noise import DeviationError, additive_gaussian_noise
from dropkit.ops.units.alpha_dropout import alpha_dropout
from dropkit.ops.units.drop_activation import drop_activation
from dropkit.ops.units.dropout import ScalingError, dropout
from dropkit.ops.units.fast_dropout import fast_dropout, fast_dropout_moments
from dropkit.ops.units.feature_alpha_dropout import feature_alpha_dropout
from dropkit.ops.units.gaussian_dropout import gaussian_dropout
from dropkit.ops.units.jumpout import jumpout
from dropkit.ops.units.max_dropout import max_dropout
from dropkit.ops.units.shakeout import shakeout
from dropkit.ops.units.uniform_dropout import uniform_dropout

__all__ = [
    "DeviationError",
    "ScalingError",
    "additive_gaussian_noise",
    "alpha_dropout",
    "drop_activation",
    "dropout",
    "fast_dropout",
    "fast_dropout_moments",
    "feature_alpha_dropout",
    "gaussian_dropout",
    "jumpout",
    "max_dropout",
    "shakeout",
    "uniform_dropout",
]
