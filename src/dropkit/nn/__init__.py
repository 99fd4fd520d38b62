"""Thin modules over ``dropkit.ops``. Importing this room fills the catalogue with them."""

from dropkit.nn.paths import (
    DropPath,
    FractalDropPath,
    LayerDrop,
    ShakeDrop,
    ShakeShake,
    StochasticDepth,
    Swapout,
)
from dropkit.nn.spatial import SpatialDropout1d, SpatialDropout2d, SpatialDropout3d
from dropkit.nn.units import AlphaDropout, Dropout, FeatureAlphaDropout, GaussianDropout
from dropkit.nn.weights import DropConnect, Mixout, TargetedUnitDropout, TargetedWeightDropout, WeightDrop

__all__ = [
    "AlphaDropout",
    "DropConnect",
    "DropPath",
    "Dropout",
    "FeatureAlphaDropout",
    "FractalDropPath",
    "GaussianDropout",
    "LayerDrop",
    "Mixout",
    "ShakeDrop",
    "ShakeShake",
    "SpatialDropout1d",
    "SpatialDropout2d",
    "SpatialDropout3d",
    "StochasticDepth",
    "Swapout",
    "TargetedUnitDropout",
    "TargetedWeightDropout",
    "WeightDrop",
]
