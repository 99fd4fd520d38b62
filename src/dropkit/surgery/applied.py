"""The handle of what is attached to a model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dropkit.core import PlanError

if TYPE_CHECKING:
    from types import TracebackType

    from dropkit.surgery.plans import Site


class Applied:
    """Something attached to a model: a plan, or dropkit's kernels. A context manager that reverts on exit.

    Args:
        model: The model, as it was given.
        stand_ins: Modules with a forward that stands in for their own, and that forward.
    """

    def __init__(self, model: nn.Module, stand_ins: Sequence[tuple[nn.Module, Any]]) -> None:
        self.model = model
        self._stand_ins = list(stand_ins)
        self._active = True

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where it acts."""
        raise NotImplementedError

    @property
    def active(self) -> bool:
        """Whether it is still attached."""
        return self._active

    def revert(self) -> None:
        """Take it off: the original objects are back. A second call does nothing.

        Raises:
            PlanError: A module's ``forward`` was replaced after it was attached; nothing is changed then.
        """
        if not self._active:
            return
        for module, forward in self._stand_ins:
            if module.__dict__.get("forward") is not forward:
                raise PlanError(
                    f"the forward of a {type(module).__name__} was replaced after the {self._what} was applied; undo "
                    "that first, then revert"
                )
        self._detach()
        self._active = False
        forget_compiled_code()

    _what = "plan"

    def _detach(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Applied:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.revert()

    def __repr__(self) -> str:
        state = "active" if self._active else "reverted"
        return f"{type(self).__name__}({type(self.model).__name__}, {len(self.sites)} site(s), {state})"


def forget_compiled_code() -> None:
    """Make compiled models notice what was attached or taken off."""
    # Compiled code does not look for hooks added or removed after its first call (its guards skip them), so a
    # model compiled before would go on without the plan, or with it. Recompiling is the only remedy.
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
