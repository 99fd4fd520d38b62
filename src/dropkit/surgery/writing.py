"""Forwards that write to parameters: moving averages, renormed embeddings, weights rounded in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
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
        for value in _outputs_among(func, args, kwargs):
            written = self._by_storage.get(_storage(value)) if value.layout == torch.strided else None
            if written is not None:
                self.written.append(written)
                raise ParameterWritten(f"{func} writes to a parameter")

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        for parameter, data in self._held:  # assigning to .data is no operator
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
