"""Calling a user's own code, ``"package.module:factory"``, with one clear error for whatever goes wrong."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dropkit.core import ConfigError, InputError, unknown_name


def is_reference(name: str) -> bool:
    """Return whether ``name`` has the form ``package.module:factory``."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")])


def load_factory(reference: str) -> Callable[..., Any]:
    """Import what ``reference``, ``"package.module:factory"``, names.

    A module that is not installed is looked for in the working directory too (which is then left at the end
    of ``sys.path``, since the module may import its neighbours later).

    Raises:
        ConfigError: the reference is malformed, its module cannot be imported, or what it names is not callable.
        UnknownNameError: the module has no such attribute.
    """
    if not is_reference(reference):
        raise ConfigError(f"a factory is given as 'package.module:factory', got {reference!r}")
    module_name, _, attribute = reference.partition(":")
    found: Any = _import(module_name, reference)
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [name for name in dir(found) if not name.startswith("_")]
            raise unknown_name(f"attribute of {module_name}:", part, public)
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"factory {reference!r} must be callable, got {type(found).__name__}")
    factory: Callable[..., Any] = found
    return factory


def call_factory(reference: str, *, offered: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call the factory that ``reference`` names.

    Args:
        reference: ``"package.module:factory"``.
        offered: Keyword arguments that the factory gets if it has parameters of these names.
        options: Keyword arguments that it must accept.

    Raises:
        ConfigError: it takes no such option, or it raised; the text names the factory and the error.
        UnknownNameError: it cannot be found.
    """
    factory = load_factory(reference)
    accepted, any_name = _parameters(factory)
    for option in options:
        if option not in accepted and not any_name:
            raise unknown_option(f"factory {reference!r}", option, accepted)
    passed = {key: value for key, value in offered.items() if key in accepted or any_name}
    try:
        return factory(**{**passed, **options})
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"factory {reference!r} raised {one_line(error)}; correct it and try again"
        ) from error


def unknown_option(where: str, option: str, accepted: set[str]) -> InputError:
    """Return the error for an option that is not in ``accepted``, with the nearest that is."""
    if not accepted:
        return ConfigError(f"{where} takes no options, got {option!r}; remove it")
    return unknown_name(f"option of {where}:", option, accepted)


def one_line(error: BaseException) -> str:
    """Return the type and the first line of the text of ``error``."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _import(module: str, reference: str) -> Any:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)  # last: it must not shadow what is installed
        importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a script that parses its arguments, for one, may exit
        if added:
            sys.path.remove(here)
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name
            and f"{module}.".startswith(f"{error.name}.")
        ):
            raise ConfigError(
                f"factory {reference!r}: there is no module {error.name!r}, neither installed nor in {here};"
                " correct the name, install it, or run from the folder that has it"
            ) from None
        raise ConfigError(f"factory {reference!r}: importing {module} raised {one_line(error)}") from error


def _parameters(factory: Callable[..., Any]) -> tuple[set[str], bool]:
    """Return the names that ``factory`` takes by keyword, and whether it takes any name."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # some builtins tell nothing: let the call decide
        return set(), True
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)
