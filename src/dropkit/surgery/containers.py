"""What a model's own lists and dicts hold, to put it back after a look."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from operator import is_
from typing import Any

from torch import Tensor

_DICTS = frozenset((dict, OrderedDict, defaultdict, Counter))
_KINDS = _DICTS | {list, deque, set}


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
            if type(value) in _KINDS:
                if id(value) not in self._held:
                    items = _items(value) if value else []
                    self._held[id(value)] = value, items
                    waiting += items
            elif isinstance(value, Tensor):
                self.tensors.append(value)
            elif isinstance(value, tuple):
                waiting += value

    def changed(self) -> Iterator[tuple[Any, list[Any]]]:
        """Yield the containers that hold something else now, and what they held."""
        for container, items in self._held.values():
            if (container or items) and not _same(container, items):
                yield container, items

    def put_back(self) -> None:
        """Make every container hold what it did."""
        for container, items in self.changed():
            container.clear()
            if type(container) in _DICTS:
                half = len(items) // 2
                container.update(zip(items[:half], items[half:], strict=True))
            elif type(container) is set:
                container.update(items)
            else:
                container.extend(items)


def _items(container: Any) -> list[Any]:
    """Return what a container holds; of a dict its keys, and then its values."""
    return [*container, *container.values()] if type(container) in _DICTS else list(container)


def _same(container: Any, items: list[Any]) -> bool:
    now = _items(container)
    return len(now) == len(items) and all(map(is_, now, items))
