"""Ops for several tasks, and for inputs of several kinds."""

from dropkit.ops.tasks.modality_dropout import modality_dropout

__all__ = ["modality_dropout"]
