"""Errors that a user can act on. Each also subclasses the builtin that fits it best."""

from collections.abc import Iterable
from difflib import get_close_matches

# The errors that dropkit.core and dropkit have, too.
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
]


class InputError(Exception):
    """The caller asked for something that cannot be done; the text says what to do instead.

    The command line prints its text as one line and exits with code 2. Every subclass also inherits from a
    builtin exception, so that code which never heard of dropkit can catch it.
    """


class RateError(InputError, ValueError):
    """A drop rate lies outside its legal interval."""


class ShapeError(InputError, ValueError):
    """A tensor has the wrong rank or size for the operation."""


class DtypeError(InputError, TypeError):
    """A tensor's dtype cannot hold the result of the operation."""


class ModuleError(InputError, TypeError):
    """A wrapper is given a module that it cannot act on."""


class OptionError(InputError, ValueError):
    """An option of a variant has an illegal value."""


class StreamError(InputError, RuntimeError):
    """Random numbers were asked for where no stream can supply the right ones."""


class UnknownNameError(InputError, LookupError):
    """A name is in no registry; the text gives the nearest one that is."""


class NoMatchError(InputError, LookupError):
    """A rule matches nothing in the model."""


class PlanError(InputError, ValueError):
    """A plan is malformed, in conflict with itself or with the model, or already applied."""


class ConfigError(InputError, ValueError):
    """A configuration has an unknown key or an illegal value."""


class DataError(InputError, ValueError):
    """Data is missing, damaged or unusable."""


class FolderError(InputError, OSError):
    """A study's folder cannot be used: foreign, locked, damaged or unwritable."""


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> UnknownNameError:
    """Return the error for ``name`` not being one of ``choices``, naming the nearest one if any is near."""
    known = sorted(choices)
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return UnknownNameError(f"unknown {kind} {name!r}; {hint}")
