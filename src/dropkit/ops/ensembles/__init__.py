"""Ensembles in one model: fixed masks, one a member."""

from dropkit.ops.ensembles.masksembles import masksembles

__all__ = ["masksembles"]
