"""Lightning: a callback that keeps a stream open while ``Trainer.fit`` runs."""

from __future__ import annotations

from typing import Any

from torch import nn

from dropkit.adapters.session import Session
from dropkit.surgery import Plan

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "dropkit.adapters.lightning needs Lightning: pip install 'dropkit[lightning]'"
    ) from error


class DropkitCallback(Callback):
    """Masks and schedules that go on with every optimiser step of a ``Trainer``, and with its checkpoints.

    ``Trainer(callbacks=[DropkitCallback(seed=1)]).fit(model)`` opens ``dropkit.random.stream(seed)`` for the fit, and
    advances it after each *optimiser* step: batches whose gradients are accumulated share a step and differ in the
    occurrence. Checkpoints hold the stream's state and the plan, so ``fit(ckpt_path=...)`` draws the masks that an
    uninterrupted fit would have. However the fit ends, the stream is left and the plan taken off.

    Args:
        seed: Root of the masks, as in :func:`dropkit.random.stream`.
        plan: Attached for the fit, before the optimisers are made. None: none, or the one in the checkpoint.
        module: Dotted name of the part of the LightningModule that the plan was made for; empty: the whole. Plans
            for the whole should not have sites at ``:input`` or ``:output``: a ``training_step`` need not call
            ``forward``.

    Raises:
        StreamError: ``seed`` is none, or not the checkpoint's.
        PlanError: ``plan`` is none, does not fit the model, or is not the checkpoint's.
    """

    def __init__(self, seed: int, plan: Plan | None = None, module: str = "") -> None:
        self._session = Session(seed, plan)
        self._module = module
        self._steps = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Attach the plan."""
        if stage == "fit":
            part: nn.Module = pl_module.get_submodule(self._module)
            self._session.attach(part, optimizer_follows=True)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the stream."""
        self._session.open(trainer.global_step)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from where the checkpoint left off."""
        self._steps = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance by the optimiser steps that this batch has brought: none while gradients are accumulated."""
        done = trainer.global_step - self._steps
        self._session.advance(done)
        self._steps += done

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the stream and take the plan off."""
        self._session.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Do the same where the fit failed or was interrupted."""
        self._session.close()

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: stream and plan, as plain data."""
        return self._session.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._session.load_state_dict(state_dict)
