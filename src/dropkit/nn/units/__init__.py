"""Unit noise as modules."""

from dropkit.nn.units.alpha_dropout import AlphaDropout
from dropkit.nn.units.dropout import Dropout
from dropkit.nn.units.feature_alpha_dropout import FeatureAlphaDropout
from dropkit.nn.units.gaussian_dropout import GaussianDropout

__all__ = ["AlphaDropout", "Dropout", "FeatureAlphaDropout", "GaussianDropout"]
