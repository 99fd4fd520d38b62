"""Errors, argument checks and the registry of variants. Imports no other room."""

from dropkit.core.checks import check_rate
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
    "catalogue",
    "check_rate",
    "register",
    "unknown_name",
    "variant",
]
