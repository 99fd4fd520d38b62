"""Depth and paths: drop whole branches, columns or layers."""

from dropkit.ops.paths.drop_path import drop_path

__all__ = ["drop_path"]
