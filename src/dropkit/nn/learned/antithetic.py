"""Two passes with opposite coins, as the estimator of Augment-REINFORCE-Merge needs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from dropkit.core import StreamError

if TYPE_CHECKING:
    from dropkit.nn.learned.learnable_bernoulli import LearnableBernoulli


class Draw(NamedTuple):
    """The uniform numbers of one call, and the logits of the rates they were compared with, of the same rank."""

    uniform: Tensor
    logit: Tensor


class Passes:
    """What the modules drew in the first pass, to be read again in the second.

    Args:
        second: Whether the second pass is running.
    """

    def __init__(self) -> None:
        self.second = False
        self.draws: list[Draw] = []
        self._kept: dict[LearnableBernoulli, list[Tensor]] = {}

    def keep(self, module: LearnableBernoulli, uniform: Tensor) -> None:
        """Keep the numbers of a call in the first pass."""
        self._kept.setdefault(module, []).append(uniform)

    def again(self, module: LearnableBernoulli) -> Tensor | None:
        """Return the numbers of the module's next call, or None if the first pass did not make it."""
        kept = self._kept.get(module)
        return kept.pop(0) if kept else None

    def check_complete(self) -> None:
        """Raise ``StreamError`` unless the second pass has made every call of the first."""
        if any(self._kept.values()):
            raise StreamError(
                "the first pass of arm() calls a LearnableBernoulli that the second does not; the loss has to do the "
                "same both times"
            )


class _Current(threading.local):
    passes: Passes | None = None


_current = _Current()


def current_passes() -> Passes | None:
    """Return the passes that this thread is in, or None."""
    return _current.passes


@contextmanager
def antithetic() -> Iterator[Passes]:
    """Open two passes over a model; the caller sets ``second`` between them."""
    outer, _current.passes = _current.passes, Passes()
    try:
        yield _current.passes
    finally:
        _current.passes = outer
