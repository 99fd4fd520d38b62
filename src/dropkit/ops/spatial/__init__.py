"""Spatial: drop channels, filters, blocks and regions of images and sequences."""

from dropkit.ops.spatial.cutout import cutout
from dropkit.ops.spatial.drop_block import drop_block1d, drop_block2d, drop_block3d
from dropkit.ops.spatial.drop_filter import drop_filter
from dropkit.ops.spatial.random_erasing import random_erasing
from dropkit.ops.spatial.spatial_dropout import spatial_dropout1d, spatial_dropout2d, spatial_dropout3d
from dropkit.ops.spatial.weighted_channel_dropout import weighted_channel_dropout

__all__ = [
    "cutout",
    "drop_block1d",
    "drop_block2d",
    "drop_block3d",
    "drop_filter",
    "random_erasing",
    "spatial_dropout1d",
    "spatial_dropout2d",
    "spatial_dropout3d",
    "weighted_channel_dropout",
]
