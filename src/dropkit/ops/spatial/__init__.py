"""Spatial: drop channels, filters, blocks and regions of images and sequences."""

from dropkit.ops.spatial.spatial_dropout import spatial_dropout1d, spatial_dropout2d, spatial_dropout3d

__all__ = ["spatial_dropout1d", "spatial_dropout2d", "spatial_dropout3d"]
