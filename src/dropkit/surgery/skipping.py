"""Whole layers of a stack, skipped in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dropkit.core import PlanError, Variant
from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import resolve_rate
from dropkit.random.draw import can_branch_on_data
from dropkit.random.recompute import region
from dropkit.surgery.drop import Drop, ordered
from dropkit.surgery.plans import Plan, Site


class LayerSkip(Drop):
    """Hands the input of a layer on in place of its output, with probability ``rate``: one coin a call.

    What a layer returns is known from when it has run once. From then on a layer that returns a tensor, or a tuple
    of one, does not run where it is skipped; of a longer tuple the first item is replaced, the others are the layer's.

    Args:
        plan: The plan it belongs to.
        site: Its site.
        names: Parameters of the layer's forward in order.
    """

    def __init__(self, plan: Plan, site: Site, names: tuple[str, ...]) -> None:
        super().__init__(plan, site)
        self._names = names
        self._returns: type | None = None  # Tensor, or the class of a tuple of one; else it has to run

    def operation(self, entry: Variant) -> Callable[..., Tensor]:
        """Return what draws the coin."""
        return draw_keep

    def run(self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call ``forward``, the layer's own, or skip it."""
        x = self.first(args, ordered(kwargs, self._names))
        keep = self._coin(x)
        # A checkpoint's recomputation must do what its forward did, and by then more is known.
        if keep is False and self._returns is not None and region().innermost is None:
            return x if self._returns is Tensor else _made(self._returns, [x])
        y = forward(*args, **kwargs)
        first = y[0] if isinstance(y, (tuple, list)) and y else y
        if not isinstance(first, Tensor) or first.shape != x.shape:
            made = f"shape {tuple(first.shape)}" if isinstance(first, Tensor) else f"a {type(first).__name__}"
            raise PlanError(
                f"site {self.site.id!r}: only a layer that keeps the shape of a tensor can be skipped; this one made "
                f"{made} from shape {tuple(x.shape)}; leave it out with except_="
            )
        if not isinstance(keep, bool):
            return _with_first(y, torch.where(keep, first, x))
        self._returns = Tensor if first is y else type(y) if len(y) == 1 else None
        return y if keep else _with_first(y, x)

    def _coin(self, x: Tensor) -> bool | Tensor:
        host = torch.device("cpu")
        eager = can_branch_on_data(host)
        rate = resolve_rate(self.rate)
        where = host if eager else x.device
        keep = self._op((1,), rate, where, generator=None, site=self.site.id, batched=False)
        return bool(keep.item()) if eager else keep[0]


def _with_first(value: Any, first: Tensor) -> Any:
    return first if isinstance(value, Tensor) else _made(type(value), [first, *value[1:]])


def _made(cls: Any, items: list[Any]) -> Any:
    make: Callable[[list[Any]], Any] = getattr(cls, "_make", cls)
    return make(items)
