"""Modules for several tasks, and for inputs of several kinds."""

from dropkit.nn.tasks.modality_dropout import ModalityDropout

__all__ = ["ModalityDropout"]
