"""Unit noise: drop or perturb single units."""

from dropkit.ops.units.alpha_dropout import alpha_dropout
from dropkit.ops.units.dropout import ScalingError, dropout
from dropkit.ops.units.feature_alpha_dropout import feature_alpha_dropout
from dropkit.ops.units.gaussian_dropout import gaussian_dropout

__all__ = ["ScalingError", "alpha_dropout", "dropout", "feature_alpha_dropout", "gaussian_dropout"]
