"""The stream and the plan of one training, whoever runs its loop."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from torch import nn

from dropkit.core import PlanError, StreamError
from dropkit.random import Stream, stream
from dropkit.surgery import Plan


class Session:
    """Holds a stream open, and a plan on a model, from the first step to the last or to an error.

    Args:
        seed: Root of the masks.
        plan: Attached while training; None: none, or the one that a checkpoint holds.

    Raises:
        StreamError: ``seed`` is none.
        PlanError: ``plan`` is no plan.
    """

    def __init__(self, seed: int, plan: Plan | None) -> None:
        if plan is not None and not isinstance(plan, Plan):
            raise PlanError(
                f"plan must be a dropkit.Plan, got {plan!r}; make it with dropkit.plan(model, rules)"
            )
        self.seed = stream(seed).seed
        self.plan = plan
        self._open = ExitStack()
        self._stream: Stream | None = None
        self._model: nn.Module | None = None
        self._loaded: Mapping[str, Any] | None = None
        self._last: Mapping[str, Any] | None = None

    def attach(self, model: nn.Module, *, optimizer_follows: bool) -> None:
        """Attach the plan to ``model``, now and if a checkpoint brings one.

        Args:
            model: What is trained.
            optimizer_follows: Whether the optimiser is made later, and so will know the plan's parameters.

        Raises:
            PlanError: The plan has parameters of its own, and the optimiser was made without them.
        """
        self._model = model
        if self.plan is None:
            return
        before = {name for name, _ in model.named_parameters()}
        self._open.enter_context(self.plan.apply(model))
        added = sorted({name for name, _ in model.named_parameters()} - before)
        if added and not optimizer_follows:
            self.close()
            raise PlanError(
                f"the plan has parameters of its own ({', '.join(added[:3])}), which the optimiser does not know; "
                "apply it to the model before the optimiser is made, and leave plan= out here"
            )

    def open(self, step: int = 0) -> None:
        """Enter the stream at ``step``, or where the checkpoint that was loaded left it."""
        self._stream = self._open.enter_context(stream(self.seed, step=step))
        if self._loaded is not None:
            self._stream.load_state_dict(dict(self._loaded))
            self._loaded = None

    def advance(self, steps: int = 1) -> None:
        """Note that ``steps`` optimiser steps were done."""
        if self._stream is None:
            raise StreamError("no training is going on, so there is no stream to advance; call open() first")
        if steps:
            self._stream.advance(steps)

    def close(self) -> None:
        """Leave the stream and take the plan off; a second call does nothing."""
        if self._stream is not None:
            self._last = self._stream.state_dict()
        self._stream, self._model = None, None
        self._open.close()

    def state_dict(self) -> dict[str, Any]:
        """Return what belongs into a checkpoint, as plain data: stream and plan.

        A plan with a rate that is code has no text; who resumes gives it again.
        """
        state = self._last if self._stream is None else self._stream.state_dict()
        return {
            "seed": self.seed,
            "stream": None if state is None else dict(state),
            "plan": written(self.plan),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken.

        Raises:
            StreamError: The seed is another one.
            PlanError: The plan is another one.
        """
        if state["seed"] != self.seed:
            raise StreamError(
                f"the checkpoint was trained with masks of seed {state['seed']}, got seed={self.seed}; give "
                "the same seed"
            )
        if self.plan is None and state["plan"] is not None:
            self.plan = Plan.from_json(state["plan"])
            if self._model is not None:
                self.attach(self._model, optimizer_follows=True)
        elif state["plan"] not in (None, written(self.plan)):
            raise PlanError(
                "the checkpoint was trained under another plan; give that one, or leave plan= out"
            )
        if self._stream is None:
            self._loaded = state["stream"]
        elif state["stream"] is not None:
            self._stream.load_state_dict(dict(state["stream"]))


def written(plan: Plan | None) -> str | None:
    """Return ``plan`` as JSON; None where there is none, or where a rate of it is code."""
    if plan is None:
        return None
    try:
        return plan.to_json()
    except PlanError:
        return None
