"""Spatial dropout as modules."""

from dropkit.nn.spatial.spatial_dropout import SpatialDropout1d, SpatialDropout2d, SpatialDropout3d

__all__ = ["SpatialDropout1d", "SpatialDropout2d", "SpatialDropout3d"]
