"""Schedules: rates as functions of the training step, and of a layer's depth."""

from dropkit.nn.schedules.annealed import AnnealedSchedule
from dropkit.nn.schedules.by_epoch import ByEpoch
from dropkit.nn.schedules.callable_schedule import CallableSchedule
from dropkit.nn.schedules.cosine import CosineSchedule
from dropkit.nn.schedules.curriculum import CurriculumSchedule
from dropkit.nn.schedules.early_late import EarlyDropout, LateDropout
from dropkit.nn.schedules.linear import LinearSchedule
from dropkit.nn.schedules.linear_by_depth import LinearByDepth, linear_by_depth
from dropkit.nn.schedules.saving import schedule_from_dict, schedule_to_dict

__all__ = [
    "AnnealedSchedule",
    "ByEpoch",
    "CallableSchedule",
    "CosineSchedule",
    "CurriculumSchedule",
    "EarlyDropout",
    "LateDropout",
    "LinearByDepth",
    "LinearSchedule",
    "linear_by_depth",
    "schedule_from_dict",
    "schedule_to_dict",
]
