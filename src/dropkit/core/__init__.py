"""Errors, argument checks and the registry of variants. Imports no other room."""

from dropkit.core.checks import called_rate, check_rate, whole_number
from dropkit.core.errors import (
    ConfigError,
    DataError,
    DtypeError,
    FolderError,
    InputError,
    ModuleError,
    NoMatchError,
    OptionError,
    PlanError,
    RateError,
    ShapeError,
    StreamError,
    UnknownNameError,
    unknown_name,
)
from dropkit.core.registry import Variant, catalogue, register, variant

__all__ = [
    "ConfigError",
    "DataError",
    "DtypeError",
    "FolderError",
    "InputError",
    "ModuleError",
    "NoMatchError",
    "OptionError",
    "PlanError",
    "RateError",
    "ShapeError",
    "StreamError",
    "UnknownNameError",
    "Variant",
    "called_rate",
    "catalogue",
    "check_rate",
    "register",
    "unknown_name",
    "variant",
    "whole_number",
]
