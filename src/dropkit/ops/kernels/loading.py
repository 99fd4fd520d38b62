"""Finding the extension, and which of its kernels to run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import torch  # noqa: F401  (the extension finds libtorch only after this)

from dropkit.core import ConfigError
from dropkit.random import philox

REFERENCE = "reference"
_VARIABLE = "DROPKIT_KERNELS"
_INTERFACE = 5  # of the extension; one that was built from older sources is not used


@dataclass(frozen=True)
class Status:
    """What computes the ops on CPU tensors.

    Attributes:
        active: ``"avx512"``, ``"avx2"``, ``"portable"``, or ``"reference"``: plain torch operations.
        reason: Why it is that one, as a sentence's end.
        supported: Names that :func:`use` takes on this machine.
    """

    active: str
    reason: str
    supported: tuple[str, ...]


def _load() -> tuple[ModuleType | None, str]:
    try:
        module = import_module("dropkit.ops.kernels._native")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        return None, "the extension was not built" if missing else f"the extension does not load: {error}"
    if getattr(module, "INTERFACE", None) != _INTERFACE:
        return None, "the extension was built from other sources; install dropkit again"
    return module, ""


native, _missing = _load()
_status: Status


def active() -> bool:
    """Whether the native kernels run."""
    return _status.active != REFERENCE


def status() -> Status:
    """Return which kernels are active, and why."""
    return _status


def use(name: str) -> None:
    """Run the kernels called ``name`` from now on, ``"reference"`` for none, ``"auto"`` for the widest.

    Raises:
        ConfigError: This machine has no such kernels.
    """
    _use(name, f"{name} was asked for")


def _use(name: str, reason: str) -> None:
    global _status
    supported = (*(native.supported() if native is not None else ()), REFERENCE)
    if name == "auto":
        reason = "the widest that this processor has" if native is not None else _missing
        name = supported[0]
    elif name not in supported:
        why = f" ({_missing})" if native is None else ""
        raise ConfigError(f"kernels must be one of auto, {', '.join(supported)} here{why}, got {name!r}")
    if native is not None and name != REFERENCE:
        native.use(name)
    philox.use_native(native.philox if native is not None and name != REFERENCE else None)
    _status = Status(name, reason, supported)


_chosen = os.environ.get(_VARIABLE, "") or "auto"
_use(_chosen, f"{_VARIABLE}={_chosen}")
