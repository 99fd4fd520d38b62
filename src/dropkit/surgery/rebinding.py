"""Functions that were set on instances, for a copy of a model: they hold modules of the copy."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from torch import Tensor, nn

Memo = dict[int, Any]  # as copy.deepcopy has it: id of an object -> what stands for it in the copy
PLAIN = (bool, int, float, str, type(None))


class Functions:
    """Functions among the attributes of modules that hold modules; deepcopy would take them as they are.

    Attributes:
        stand_ins: For the memo of a deepcopy: functions of the same code, and tensors without a graph.
    """

    def __init__(self, root: nn.Module) -> None:
        self.stand_ins: Memo = {}
        self._modules = {id(module) for module in root.modules()}
        self._holds: dict[int, bool] = {}
        self._found: list[FunctionType] = []
        self._methods: list[tuple[nn.Module, str, MethodType]] = []
        for module in root.modules():
            for name, value in vars(module).items():
                if type(value) in PLAIN or (isinstance(value, dict) and not value):
                    continue
                if self._look(value) and isinstance(value, MethodType):
                    self._methods.append((module, name, value))

    def _look(self, value: Any) -> bool:
        """Whether ``value`` holds a module of the model; functions that do get a stand-in."""
        if id(value) in self._modules:
            return True
        if id(value) in self._holds:
            return self._holds[id(value)]
        self._holds[id(value)] = False  # where it holds itself
        if isinstance(value, Tensor) and not value.is_leaf:
            self.stand_ins[id(value)] = value.detach().clone()
        # each of them, as each may need a stand-in
        found = sum(self._look(part) for part in parts(value) if type(part) not in PLAIN) > 0
        self._holds[id(value)] = found
        if found and isinstance(value, FunctionType):
            self.stand_ins[id(value)] = self._stand_in(value)
            self._found.append(value)
        return found

    def _stand_in(self, function: FunctionType) -> FunctionType:
        # a cell that holds no module is shared: it may be how the function tells somebody what it saw
        cells = tuple(CellType() if self._holding(cell) else cell for cell in function.__closure__ or ())
        shared = not any(map(self._look, _global_values(function).values()))
        variables = function.__globals__ if shared else dict(function.__globals__)
        made = FunctionType(
            function.__code__, variables, function.__name__, function.__defaults__, cells or None
        )
        made.__kwdefaults__ = function.__kwdefaults__
        functools.update_wrapper(made, function)
        made.__dict__.pop("__wrapped__", None)
        return made

    def _holding(self, cell: CellType) -> bool:
        return any(self._look(value) for value in _content(cell))

    def connect(self, memo: Memo) -> None:
        """Give the stand-ins what the functions hold, as it is in the copy that ``memo`` is of."""
        again = functools.partial(self._again, memo)
        for function in self._found:
            made = memo[id(function)]
            for cell, own in zip(function.__closure__ or (), made.__closure__ or (), strict=True):
                if own is not cell:
                    own.cell_contents = again(cell.cell_contents)
            for name, value in _global_values(function).items():
                if made.__globals__ is not function.__globals__:
                    made.__globals__[name] = again(value)
            if function.__defaults__:
                made.__defaults__ = tuple(map(again, function.__defaults__))
            if function.__kwdefaults__:
                made.__kwdefaults__ = {name: again(value) for name, value in function.__kwdefaults__.items()}
            made.__dict__.update({name: again(value) for name, value in vars(function).items()})
        for module, name, method in self._methods:
            memo[id(module)].__dict__[name] = again(method)

    def _again(self, memo: Memo, value: Any) -> Any:
        if type(value) in PLAIN or not self._look(value):
            return value
        if isinstance(value, MethodType):
            return MethodType(self._again(memo, value.__func__), self._again(memo, value.__self__))
        return copy.deepcopy(value, memo)


def _global_values(function: FunctionType) -> dict[str, Any]:
    """Return the variables of its module that ``function`` names, if they are modules or functions of its own."""
    known = function.__globals__
    found = {name: known[name] for name in _names(function.__code__) if name in known}
    return {name: value for name, value in found.items() if _is_own(value, known)}


def _is_own(value: Any, variables: dict[str, Any]) -> bool:
    # no containers: somebody's list of all models would be copied with what is in it
    own = isinstance(value, FunctionType) and value.__globals__ is variables
    return own or isinstance(value, nn.Module | MethodType | functools.partial)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _content(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not assigned yet
        return []


def parts(value: Any) -> list[Any]:
    """Return what a container, a module, a function or a bound method holds."""
    if isinstance(value, nn.Module):
        return list(vars(value).values())
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, FunctionType):
        cells = [part for cell in value.__closure__ or () for part in _content(cell)]
        named = (
            *(value.__kwdefaults__ or {}).values(),
            *vars(value).values(),
            *_global_values(value).values(),
        )
        return [*cells, *(value.__defaults__ or ()), *named]
    return []
