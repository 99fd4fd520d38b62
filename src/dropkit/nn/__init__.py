"""Thin modules over ``dropkit.ops``. Importing this room fills the catalogue with them."""

from dropkit.nn.paths import DropPath
from dropkit.nn.spatial import SpatialDropout1d, SpatialDropout2d, SpatialDropout3d
from dropkit.nn.units import AlphaDropout, Dropout, FeatureAlphaDropout, GaussianDropout

__all__ = [
    "AlphaDropout",
    "DropPath",
    "Dropout",
    "FeatureAlphaDropout",
    "GaussianDropout",
    "SpatialDropout1d",
    "SpatialDropout2d",
    "SpatialDropout3d",
]
