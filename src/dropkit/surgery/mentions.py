"""Whether the code of a module names a function that drops: what can be told without running it.

Code is followed from the module's methods to the functions that they name, as far as names lead. It may miss a
function that is reached in another way, so nothing in training relies on it.
"""

from __future__ import annotations

import builtins
import dis
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import nn

from dropkit.surgery.existing import CALLS

_FUNCTIONS = frozenset(CALLS)
_NAMES = frozenset(function.__name__ for function in CALLS)
_UNKNOWN = object()


def mentions_dropout(module: nn.Module) -> bool:
    """Whether the code of ``module`` itself, not that of its children, names a function that drops."""
    search = _Search(module)
    own = [value for value in vars(module).values() if isinstance(value, FunctionType)]
    return any(search.finds(function) for function in (*own, *_methods(type(module))))


def _methods(cls: type) -> Iterator[FunctionType]:
    for base in cls.__mro__:
        if not _of_torch(base):
            yield from _functions(base)


def _functions(cls: type) -> Iterator[FunctionType]:
    for value in vars(cls).values():
        held = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if callable(held):
            plain = inspect.unwrap(held)
            if isinstance(plain, FunctionType):
                yield plain


def _of_torch(thing: Any) -> bool:
    module = getattr(thing, "__module__", None) or ""
    return module == "builtins" or module.split(".")[0] in ("torch", "dropkit")


class _Search:
    """Follows the names in code.

    Args:
        module: What ``self`` is in its methods.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._done: set[CodeType] = set()

    def finds(self, function: FunctionType) -> bool:
        """Whether ``function`` or one that it names is, or names, one that drops."""
        return any(self._drops(value) for value in self._named(function.__code__, function))

    def _drops(self, value: Any) -> bool:
        if value is _UNKNOWN:
            return True
        if isinstance(value, Mapping) and not isinstance(value, nn.Module):
            return any(self._drops(held) for held in value.values() if isinstance(held, FunctionType))
        if not callable(value):
            return False
        if _hashable(value) and value in _FUNCTIONS:
            return True
        if isinstance(value, torch.jit.ScriptFunction):
            return scripted_dropout(value)
        if isinstance(value, type):
            follows = issubclass(value, torch.autograd.Function) and not _of_torch(value)
            return follows and any(self.finds(function) for function in _functions(value))
        plain = inspect.unwrap(value)
        return isinstance(plain, FunctionType) and not _of_torch(plain) and self.finds(plain)

    def _named(self, code: CodeType, function: FunctionType) -> Iterator[Any]:
        """Yield what dotted names in ``code`` stand for; ``_UNKNOWN`` for a name that a function that drops has."""
        if code in self._done:
            return
        self._done.add(code)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from self._named(constant, function)
        value: Any = None
        for instruction in dis.get_instructions(code):
            name, opname = instruction.argval, instruction.opname
            if opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                value = function.__globals__.get(name, getattr(builtins, name, None))
            elif opname in ("LOAD_ATTR", "LOAD_METHOD"):
                value = _UNKNOWN if value is _UNKNOWN else _attribute(value, name)
            elif opname.startswith("LOAD_FAST") or opname == "LOAD_DEREF":
                local = name[-1] if isinstance(name, tuple) else name
                value = self._module if local == "self" else _enclosed(function, local)
            else:
                value = _UNKNOWN
                continue
            if value is not _UNKNOWN or name in _NAMES:
                yield value


def _enclosed(function: FunctionType, name: str) -> Any:
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    try:
        return cells[name].cell_contents
    except (KeyError, ValueError):  # a variable of its own, or one that has no value yet
        return _UNKNOWN


def _attribute(value: Any, name: str) -> Any:
    if isinstance(value, ModuleType):
        return getattr(value, name, None)
    if isinstance(value, nn.Module) and name in value._modules:
        return value._modules[name]
    return inspect.getattr_static(value, name, None)


def _hashable(value: Callable[..., Any]) -> bool:
    return type(value).__hash__ is not None


def scripted_dropout(scripted: Any) -> bool:
    """Whether compiled TorchScript drops."""
    graph = str(scripted.inlined_graph)
    return any(f"aten::{name}(" in graph for name in _NAMES | {"native_dropout", "bernoulli", "bernoulli_"})
