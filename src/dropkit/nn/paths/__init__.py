"""Depth and paths as modules."""

from dropkit.nn.paths.drop_path import DropPath
from dropkit.nn.paths.fractal_drop_path import FractalDropPath
from dropkit.nn.paths.layer_drop import LayerDrop
from dropkit.nn.paths.scheduled_drop_path import ScheduledDropPath
from dropkit.nn.paths.shake_drop import ShakeDrop
from dropkit.nn.paths.shake_shake import ShakeShake
from dropkit.nn.paths.stochastic_depth import StochasticDepth
from dropkit.nn.paths.swapout import Swapout

__all__ = [
    "DropPath",
    "FractalDropPath",
    "LayerDrop",
    "ScheduledDropPath",
    "ShakeDrop",
    "ShakeShake",
    "StochasticDepth",
    "Swapout",
]
