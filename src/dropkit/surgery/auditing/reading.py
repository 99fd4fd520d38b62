"""Whether a forward pass looks at values that dropout has changed, and so may go another way for another mask."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_READERS = {"tolist", "numpy", "__array__", "__dlpack__"}  # not seen by the dispatcher
_CERTAIN, _UNKNOWN, _RANDOM = range(3)


class Reading:
    """Follows what may depend on a random site: what is drawn from then on, and all that is made of it.

    Tensors of before the first site are certain, and so is what is made of them alone. A tensor that is made of
    nothing, such as a range or the bits of a mask, is unknown; numbers made of it are taken for random.

    Attributes:
        found: Whether Python code got hold of the value of a random tensor, or of a shape that depends on values.
    """

    def __init__(self) -> None:
        self.found = False
        self._active = False
        self._made: dict[
            int, tuple[weakref.ref[Tensor], int]
        ] = {}  # by id, for as long as the reference lives

    def met_site(self) -> None:
        """Note that a site that is random comes now."""
        self._active = True

    def note(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Take note of an operator and of what it returned."""
        if not self._active:
            return
        kinds = self._kinds((*args, *kwargs.values()))
        if isinstance(result, (bool, int, float, complex)) or torch.Tag.dynamic_output_shape in func.tags:
            self.found |= _RANDOM in kinds
        draws = torch.Tag.nondeterministic_seeded in func.tags or func.namespace == "dropkit_native"
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                unsure = _UNKNOWN in kinds or not kinds
                guess = _RANDOM if kinds and tensor.is_floating_point() else _UNKNOWN
                known = _RANDOM if draws or _RANDOM in kinds else _CERTAIN
                kind = guess if unsure and known == _CERTAIN else known
                self._made[id(tensor)] = weakref.ref(tensor), kind

    def called(self, name: str, args: Sequence[Any]) -> None:
        """Take note of a function."""
        if self._active and name in _READERS:
            self.found |= _RANDOM in self._kinds(args)

    def _kinds(self, given: Sequence[Any]) -> set[int]:
        kinds = set()
        for value in given:
            if isinstance(value, Tensor):
                made, kind = self._made.get(id(value), (None, _CERTAIN))
                kinds.add(kind if made is not None and made() is value else _CERTAIN)
            elif isinstance(value, (tuple, list)):
                kinds |= self._kinds(value)
        return kinds
