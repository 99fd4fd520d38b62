"""Forwards that write to parameters: moving averages, renormed embeddings, weights rounded in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class ParameterWritten(RuntimeError):
    """Stops a forward before it writes to a parameter."""


class Guard:
    """Keeps parameters as they are while the body of a ``with`` runs a model that has them.

    Args:
        parameters: The parameters.

    Attributes:
        written: Those that the model wanted to write to.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.written: list[Tensor] = []
        self._held = [(p, p.data) for p in parameters if p.layout == torch.strided and not p.is_meta]
        self._by_storage = {_storage(p): p for p, _ in self._held}

    def check(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise ``ParameterWritten`` before an operator would write to a parameter, or to a view of one."""
        self.written += self.written_by(func, args, kwargs)
        if self.written:
            raise ParameterWritten(f"{func} writes to a parameter")

    def written_by(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
        """Return the parameters that an operator would write to."""
        values = [value for value in _outputs_among(func, args, kwargs) if value.layout == torch.strided]
        return [self._by_storage[_storage(v)] for v in values if _storage(v) in self._by_storage]

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.put_back()

    def put_back(self) -> None:
        """Take back what was assigned to ``.data``, which is no operator."""
        for parameter, data in self._held:
            if _storage(parameter) != _storage(data):
                parameter.data = data
                self.written.append(parameter)


def _storage(value: Tensor) -> int:
    return int(value.untyped_storage()._cdata)


def _outputs_among(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[index] if index < len(args) else kwargs.get(argument.name)
            yield from (value for value in tree_leaves(given) if isinstance(value, Tensor))


class Keeping(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lets a model write to its parameters, and puts back what they were.

    Args:
        parameters: The parameters.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._guard = Guard(parameters)
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.is_mutable:
            for parameter in self._guard.written_by(func, args, kwargs or {}):
                self._copies.setdefault(id(parameter), (parameter, parameter.detach().clone()))
        return func(*args, **(kwargs or {}))

    def put_back(self) -> None:
        """Make the parameters what they were."""
        self._guard.put_back()
        with torch.no_grad():
            for parameter, copy in self._copies.values():
                parameter.copy_(copy)
