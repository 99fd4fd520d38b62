"""Thin modules over ``dropkit.ops``. Importing this room fills the catalogue with them."""

from dropkit.nn.alpha_dropout import AlphaDropout
from dropkit.nn.dropout import Dropout
from dropkit.nn.gaussian_dropout import GaussianDropout
from dropkit.nn.paths import DropPath
from dropkit.nn.spatial_dropout import SpatialDropout1d, SpatialDropout2d, SpatialDropout3d

__all__ = [
    "AlphaDropout",
    "DropPath",
    "Dropout",
    "GaussianDropout",
    "SpatialDropout1d",
    "SpatialDropout2d",
    "SpatialDropout3d",
]
