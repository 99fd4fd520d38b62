"""Modules for several tasks, and for inputs of several kinds."""

from dropkit.nn.tasks.modality_dropout import ModalityDropout
from dropkit.nn.tasks.stochastic_filter_groups import StochasticFilterGroups
from dropkit.nn.tasks.task import TaskError
from dropkit.nn.tasks.task_dropout import TaskDropout

__all__ = ["ModalityDropout", "StochasticFilterGroups", "TaskDropout", "TaskError"]
