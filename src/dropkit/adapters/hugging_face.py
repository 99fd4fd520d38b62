"""Hugging Face: a callback that keeps a stream open while ``Trainer.train`` runs."""

from __future__ import annotations

from types import TracebackType
from typing import Any, cast

from dropkit.adapters.session import Session
from dropkit.core import StreamError
from dropkit.surgery import Plan

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from transformers.trainer_callback import ExportableState
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "dropkit.adapters.hugging_face needs transformers and accelerate: pip install 'dropkit[hf]'"
    ) from error


class DropkitCallback(TrainerCallback, ExportableState):
    """Masks and schedules that go on with every optimiser step of a ``Trainer``, and with its checkpoints.

    ``with DropkitCallback(seed=1) as masks: Trainer(..., callbacks=[masks]).train()`` opens
    ``dropkit.random.stream(seed)`` for the training, and advances it after each *optimiser* step: batches whose
    gradients are accumulated share a step and differ in the occurrence. ``trainer_state.json`` holds the stream's state
    and the plan, so ``train(resume_from_checkpoint=...)`` draws the masks that an uninterrupted training would have.

    A ``Trainer`` does not tell its callbacks of errors: the ``with`` block is what leaves the stream, and takes the
    plan off, where a training fails. Without it that happens at the next ``train`` with the same callback, or at
    :meth:`close`.

    Args:
        seed: Root of the masks, as in :func:`dropkit.random.stream`.
        plan: Attached while training. None: none, or the one in the checkpoint.

    Raises:
        StreamError: ``seed`` is none, or not the checkpoint's.
        PlanError: ``plan`` is none, does not fit the model, has parameters of its own, or is not the checkpoint's.
    """

    def __init__(self, seed: int, plan: Plan | None = None) -> None:
        self._session = Session(seed, plan)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Attach the plan and open the stream, where the checkpoint left off."""
        self.close()
        saved = cast(dict[str, Any], state.stateful_callbacks).get(type(self).__name__)
        if isinstance(saved, list):
            raise StreamError(
                "the trainer has more than one DropkitCallback; one stream is all that a training draws from"
            )
        if saved is not None and state.global_step:
            self._session.load_state_dict({**saved["attributes"], "stream": None})
        self._session.attach(kwargs["model"], optimizer_follows=False)
        # Checkpoints are written between steps, where the number of the step is all there is to the stream's state.
        self._session.open(state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Advance: an optimiser step is done."""
        self._session.advance()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the stream and take the plan off."""
        self.close()

    def close(self) -> None:
        """Close the stream and take the plan off; a second call does nothing."""
        self._session.close()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, as plain data."""
        held = self._session.state_dict()
        return {"args": {"seed": held["seed"]}, "attributes": {"seed": held["seed"], "plan": held["plan"]}}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> DropkitCallback:
        """Return the callback that a checkpoint describes."""
        held = state["attributes"]
        return cls(held["seed"], None if held["plan"] is None else Plan.from_json(held["plan"]))

    def __enter__(self) -> DropkitCallback:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
