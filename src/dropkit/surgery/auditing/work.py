"""How much of a forward pass's work is done before the first site that is random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils.flop_counter import flop_registry

_AN_ELEMENT = 10  # operations that an element of an elementwise operator is worth


class Work:
    """Counts operations: floating-point ones of products and convolutions, elements of all else.

    Attributes:
        done: Operations so far.
    """

    def __init__(self) -> None:
        self.done = 0
        self._before: int | None = None

    def note(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Take note of an operator and of what it returned."""
        if func.is_view:
            return
        counted = flop_registry.get(func.overloadpacket)
        if counted is not None:
            self.done += counted(*args, **kwargs, out_val=result)
            return
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                self.done += _AN_ELEMENT * tensor.numel()

    def met_site(self) -> None:
        """Note that a site that is random comes now."""
        if self._before is None:
            self._before = self.done

    @property
    def share_before(self) -> float:
        """Share of the work that came before the first such site, in ``[0, 1]``."""
        return (self._before or 0) / max(self.done, 1)
