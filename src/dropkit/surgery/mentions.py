"""Whether the code of a module names a function that drops, or draws: what can be told without running it.

Code is followed from the module's methods to the functions that they name, as far as names lead. It may miss a
function that is reached in another way, so nothing in training relies on it.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from dropkit.surgery.existing import BY_HAND, CALLS

_UNKNOWN = object()


class Wanted(NamedTuple):
    """What is looked for: functions, and the names that stand for them where it is unknown what a name stands for."""

    functions: frozenset[Any]
    names: frozenset[str]


DROPPING = Wanted(frozenset(CALLS), frozenset(function.__name__ for function in CALLS))
DRAWING = Wanted(
    frozenset(
        (*BY_HAND, random.random, random.uniform, np.random.rand, np.random.random, np.random.binomial)
    ),
    frozenset(("bernoulli", "bernoulli_", "rand_like", "uniform_", "native_dropout")),
)


class Mentions:
    """What the code of modules names. Alike modules are read once, so one of these serves as long as none changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, Wanted, bool], bool] = {}
        self._shapes: dict[Any, int] = {}
        self._shape_of: dict[nn.Module, int] = {}

    def dropout(self, module: nn.Module) -> bool:
        """Whether the code of ``module`` itself, not that of its children, names a function that drops."""
        return self._any(module, DROPPING, forward_only=False)

    def drawing(self, module: nn.Module) -> bool:
        """Whether the forward of ``module`` itself names a function by which a model may drop in a way of its own."""
        return self._any(module, DRAWING, forward_only=True)

    def _any(self, module: nn.Module, wanted: Wanted, *, forward_only: bool) -> bool:
        key = (self._shape(module), wanted, forward_only)
        if key not in self._known:
            search = _Search(module, wanted)
            self._known[key] = any(search.finds(function) for function in _code(module, forward_only))
        return self._known[key]

    def _shape(self, module: nn.Module) -> int:
        """Return a number that modules have in common whose code leads to the same functions."""
        if module not in self._shape_of:
            own = {k: id(v) for k, v in vars(module).items() if k not in _STATE and type(v) not in _PLAIN}
            children = ((k, None if c is None else self._shape(c)) for k, c in module._modules.items())
            key = (type(module), tuple(sorted(own.items())), tuple(children))
            self._shape_of[module] = self._shapes.setdefault(key, len(self._shapes))
        return self._shape_of[module]


_STATE = frozenset(vars(nn.Module()))  # what every module has of its own, which leads nowhere
_PLAIN = (
    bool,
    int,
    float,
    str,
    type(None),
    tuple,
    list,
    set,
    torch.Size,
    torch.dtype,
    torch.device,
    torch.Tensor,
)


_KNOWN = {*sys.stdlib_module_names, "torch", "dropkit", "numpy", "scipy", "sympy"}


def read_from_self(cls: type) -> set[str]:
    """Return the attributes that the methods of ``cls`` read from ``self``."""
    found = set()
    for function in _methods(cls):
        names = _names(function.__code__)
        found |= {
            read for (_, owner), (kind, read) in pairwise(names) if (owner, kind) == ("self", "attribute")
        }
    return found


def _code(module: nn.Module, forward_only: bool) -> Iterator[FunctionType]:
    if not forward_only:
        yield from (value for value in vars(module).values() if isinstance(value, FunctionType))
        yield from _methods(type(module))
        return
    plain = inspect.unwrap(vars(module).get("forward", type(module).forward))
    function = getattr(plain, "__func__", plain)
    if isinstance(function, FunctionType) and not _known(function):
        yield function


def _methods(cls: type) -> Iterator[FunctionType]:
    for base in cls.__mro__:
        if not _known(base):
            yield from _functions(base)


def _functions(cls: type) -> Iterator[FunctionType]:
    for value in vars(cls).values():
        held = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if callable(held):
            plain = inspect.unwrap(held)
            if isinstance(plain, FunctionType):
                yield plain


def _known(thing: Any) -> bool:
    """Whether ``thing`` is code of torch or below it, which is not followed: what drops there is wanted by itself."""
    return (getattr(thing, "__module__", None) or "").partition(".")[0] in _KNOWN


class _Search:
    """Follows the names in code.

    Args:
        module: What ``self`` is in its methods.
        wanted: What is looked for.
    """

    def __init__(self, module: nn.Module, wanted: Wanted) -> None:
        self._module = module
        self._wanted = wanted
        self._done: set[CodeType] = set()

    def finds(self, function: FunctionType) -> bool:
        """Whether ``function`` or one that it names is, or names, one that is wanted."""
        return any(self._drops(value) for value in self._named(function.__code__, function))

    def _drops(self, value: Any) -> bool:
        if value is _UNKNOWN:
            return True
        if isinstance(value, Mapping) and not isinstance(value, nn.Module):
            return any(self._drops(held) for held in value.values() if isinstance(held, FunctionType))
        if not callable(value):
            return False
        if _hashable(value) and value in self._wanted.functions:
            return True
        if isinstance(value, torch.jit.ScriptFunction):
            return scripted_dropout(value)
        if isinstance(value, type):
            follows = issubclass(value, torch.autograd.Function) and not _known(value)
            return follows and any(self.finds(function) for function in _functions(value))
        plain = inspect.unwrap(value)
        return isinstance(plain, FunctionType) and not _known(plain) and self.finds(plain)

    def _named(self, code: CodeType, function: FunctionType) -> Iterator[Any]:
        """Yield what dotted names in ``code`` stand for; ``_UNKNOWN`` for a name that is wanted."""
        if code in self._done:
            return
        self._done.add(code)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from self._named(constant, function)
        value: Any = None
        for kind, name in _names(code):
            if kind == "global":
                value = function.__globals__.get(name, getattr(builtins, name, None))
            elif kind == "attribute":
                value = _UNKNOWN if value is _UNKNOWN else _attribute(value, name)
            elif kind == "local":
                value = self._module if name == "self" else _enclosed(function, name)
            else:
                value = _UNKNOWN
                continue
            if value is not _UNKNOWN or name in self._wanted.names:
                yield value


_read: WeakKeyDictionary[CodeType, tuple[tuple[str, str], ...]] = WeakKeyDictionary()


def _names(code: CodeType) -> tuple[tuple[str, str], ...]:
    """Return the names that ``code`` loads, in order, and where from; ``("", "")`` where a chain of them ends."""
    if code not in _read:
        found: list[tuple[str, str]] = []
        for instruction in dis.get_instructions(code):
            name, opname = instruction.argval, instruction.opname
            if opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                found.append(("global", name))
            elif opname in ("LOAD_ATTR", "LOAD_METHOD"):
                found.append(("attribute", name))
            elif opname.startswith("LOAD_FAST") or opname == "LOAD_DEREF":
                found.append(("local", name[-1] if isinstance(name, tuple) else name))
            elif found and found[-1][0]:
                found.append(("", ""))
        _read[code] = tuple(found)
    return _read[code]


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
    return any(
        f"aten::{name}(" in graph for name in DROPPING.names | {"native_dropout", "bernoulli", "bernoulli_"}
    )
