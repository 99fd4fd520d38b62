"""Depth and paths: drop, mix or disturb whole branches, columns and layers."""

from dropkit.ops.paths.drop_path import drop_path
from dropkit.ops.paths.fractal_drop_path import fractal_drop_path
from dropkit.ops.paths.shake_drop import shake_drop
from dropkit.ops.paths.shake_shake import shake_shake
from dropkit.ops.paths.stochastic_depth import stochastic_depth
from dropkit.ops.paths.swapout import swapout

__all__ = ["drop_path", "fractal_drop_path", "shake_drop", "shake_shake", "stochastic_depth", "swapout"]
