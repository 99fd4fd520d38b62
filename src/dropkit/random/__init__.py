"""Counter-based streams of random numbers: the same key gives the same mask everywhere."""

from dropkit.random.bits import keep_mask, normal, uniform
from dropkit.random.draw import next_key, next_place, skip_key
from dropkit.random.given import GivenMasks, given_mask
from dropkit.random.key import Key, child_seed
from dropkit.random.reference import mask
from dropkit.random.schedule import Schedule
from dropkit.random.shared import batch_first, mask_shape
from dropkit.random.stream import Stream, step, stream

__all__ = [
    "GivenMasks",
    "Key",
    "Schedule",
    "Stream",
    "batch_first",
    "child_seed",
    "given_mask",
    "keep_mask",
    "mask",
    "mask_shape",
    "next_key",
    "next_place",
    "normal",
    "skip_key",
    "step",
    "stream",
    "uniform",
]
