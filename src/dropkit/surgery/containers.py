"""What a model's own lists and dicts hold, to put it back after a look."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from typing import Any

from torch import Tensor

_DICTS = (dict, OrderedDict, defaultdict, Counter)
_LISTS = (list, deque)
_SETS = (set,)


class Contents:
    """The lists, dicts and sets among some values, and inside one another, with what they hold now.

    A library may register hooks in a forward, and a model may keep what it computed: both are held in containers that
    stay the same objects, so that putting attributes back does not undo it.

    Args:
        values: Where to look.

    Attributes:
        tensors: The tensors among the values and in the containers.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        self.tensors: list[Tensor] = []
        self._held: dict[int, tuple[Any, list[Any]]] = {}
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if isinstance(value, Tensor):
                self.tensors.append(value)
            elif type(value) in (*_DICTS, *_LISTS, *_SETS) and id(value) not in self._held:
                items = _items(value)
                self._held[id(value)] = value, items
                waiting += [part for pair in items for part in pair] if type(value) in _DICTS else items

    def put_back(self) -> None:
        """Make every container hold what it did."""
        for container, items in self._held.values():
            if not _same(_items(container), items):
                container.clear()
                if type(container) in _LISTS:
                    container.extend(items)
                else:
                    container.update(dict(items) if type(container) in _DICTS else items)


def _items(container: Any) -> list[Any]:
    return list(container.items() if type(container) in _DICTS else container)


def _same(first: list[Any], second: list[Any]) -> bool:
    """Whether two lists hold the same objects, or pairs of the same objects, in the same order."""
    if len(first) != len(second):
        return False
    for a, b in zip(first, second, strict=True):
        pair = type(a) is tuple and type(b) is tuple and len(a) == len(b) == 2
        if not (a is b or (pair and a[0] is b[0] and a[1] is b[1])):
            return False
    return True
