"""Unit noise as modules."""

from dropkit.nn.units.additive_gaussian_noise import AdditiveGaussianNoise
from dropkit.nn.units.alpha_dropout import AlphaDropout
from dropkit.nn.units.drop_activation import DropActivation
from dropkit.nn.units.dropout import Dropout
from dropkit.nn.units.fast_dropout import FastDropout
from dropkit.nn.units.feature_alpha_dropout import FeatureAlphaDropout
from dropkit.nn.units.gaussian_dropout import GaussianDropout
from dropkit.nn.units.jumpout import Jumpout
from dropkit.nn.units.max_dropout import MaxDropout
from dropkit.nn.units.shakeout import Shakeout
from dropkit.nn.units.uniform_dropout import UniformDropout

__all__ = [
    "AdditiveGaussianNoise",
    "AlphaDropout",
    "DropActivation",
    "Dropout",
    "FastDropout",
    "FeatureAlphaDropout",
    "GaussianDropout",
    "Jumpout",
    "MaxDropout",
    "Shakeout",
    "UniformDropout",
]
