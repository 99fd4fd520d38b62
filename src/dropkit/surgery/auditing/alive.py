"""How much memory the tensors of a forward pass take at once."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


class Alive:
    """Counts the bytes of storages that operators made and that are still in use.

    Args:
        known: Tensors that were there before; views of them take nothing.

    Attributes:
        peak: The largest number of bytes at any one time.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        self.peak = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in known if tensor.layout == torch.strided}
        self._now = 0
        self._users: Counter[int] = Counter()  # storage -> tensors that use it
        self._watched: dict[int, weakref.ref[Tensor]] = {}

    def note(self, func: Any, args: Sequence[Any], result: Any) -> None:
        """Take note of an operator and of what it returned."""
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            # sparse ones have no storage; operators return their parts, too
            if (
                isinstance(tensor, Tensor)
                and id(tensor) not in self._watched
                and tensor.layout is torch.strided
            ):
                self._take(tensor)
        if func.overloadpacket is torch.ops.aten.convolution:
            # inside, on a CPU, one of the two lies in an order of the library's own, too
            self.peak = max(self.peak, self._now + max(args[0].nbytes, result.nbytes))

    def _take(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        name, size = storage._cdata, storage.nbytes()
        if name in self._known:
            return
        if self._users[name] == 0:
            self._now += size
            self.peak = max(self.peak, self._now)
        self._users[name] += 1
        key = id(tensor)

        def gone(_: weakref.ref[Tensor]) -> None:
            self._watched.pop(key, None)
            self._users[name] -= 1
            if self._users[name] == 0:
                del self._users[name]
                self._now -= size

        self._watched[key] = weakref.ref(tensor, gone)
