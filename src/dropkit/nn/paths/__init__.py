"""Depth and paths as modules."""

from dropkit.nn.paths.drop_path import DropPath

__all__ = ["DropPath"]
