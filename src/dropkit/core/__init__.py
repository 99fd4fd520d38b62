"""Errors, argument checks and the registry of variants. Imports no other room."""

from dropkit.core import errors
from dropkit.core.checks import called_rate, check_rate, whole_number
from dropkit.core.errors import *  # noqa: F403  (it says which names it has)
from dropkit.core.errors import unknown_name
from dropkit.core.registry import Variant, catalogue, register, variant

__all__ = [
    "Variant",
    "called_rate",
    "catalogue",
    "check_rate",
    "register",
    "unknown_name",
    "variant",
    "whole_number",
]
__all__ += errors.__all__
