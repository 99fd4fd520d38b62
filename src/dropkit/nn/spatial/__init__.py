"""Spatial dropout as modules."""

from dropkit.nn.spatial.cutout import Cutout
from dropkit.nn.spatial.drop_block import DropBlock1d, DropBlock2d, DropBlock3d
from dropkit.nn.spatial.drop_filter import DropFilter
from dropkit.nn.spatial.random_erasing import RandomErasing
from dropkit.nn.spatial.spatial_dropout import SpatialDropout1d, SpatialDropout2d, SpatialDropout3d
from dropkit.nn.spatial.weighted_channel_dropout import WeightedChannelDropout

__all__ = [
    "Cutout",
    "DropBlock1d",
    "DropBlock2d",
    "DropBlock3d",
    "DropFilter",
    "RandomErasing",
    "SpatialDropout1d",
    "SpatialDropout2d",
    "SpatialDropout3d",
    "WeightedChannelDropout",
]
