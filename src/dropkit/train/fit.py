"""Train a model once, from a root seed to its history."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from statistics import median
from time import monotonic
from typing import Any, Literal

from torch import nn
from torch.utils.data import Dataset

from dropkit.random import child_seed
from dropkit.train.check import check_run, check_task
from dropkit.train.checkpoint import Checkpoint, fingerprint
from dropkit.train.config import TrainConfig
from dropkit.train.metrics import Task
from dropkit.train.run import ExtraLoss, Problem, Record, Run
from dropkit.train.samples import samples
from dropkit.train.values import real
from dropkit.train.weights import device_of, flags_kept, own_generators, restore, seed_generators


@dataclass(frozen=True)
class FitResult:
    """What a run did.

    Attributes:
        status: ``"ok"``, or ``"diverged"`` if loss, weights or outputs became NaN or infinite.
        epochs: A record for each complete epoch, ``{"epoch": from 1, "train": {metric: value}, "val": {...}}``.
        steps: Optimiser steps done, in all sessions together.
        step_seconds: Median over epochs of an epoch's median seconds an optimiser step; NaN without one. It is the
            only field that differs between equal runs.
        best_epoch: The epoch whose weights the model now has; with ``patience`` the best one, else the last; 0 if
            the run diverged, and the weights are those of no complete epoch.
        stopped_epoch: The epoch after which ``patience`` ended the run, or None.
        diverged_epoch: The epoch in which the run diverged, or None.
        diverged_step: Optimiser steps done when that was seen, or None.
    """

    status: Literal["ok", "diverged"]
    epochs: list[Record]
    steps: int
    step_seconds: float
    best_epoch: int
    stopped_epoch: int | None = None
    diverged_epoch: int | None = None
    diverged_step: int | None = None


def fit(
    model: nn.Module,
    train: Dataset[Any],
    val: Dataset[Any],
    config: TrainConfig,
    *,
    task: Task,
    seed: int,
    target_std: float = 1.0,
    target_mean: float = 0.0,
    extra_loss: ExtraLoss | None = None,
    on_step: Callable[[int], object] | None = None,
    on_epoch: Callable[[int, Record], object] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
) -> FitResult:
    """Train ``model`` in place on ``train``; after every epoch evaluate it on ``train`` and ``val``.

    Batch order and augmentation have a generator each, and masks a ``dropkit.random.stream`` that advances with every
    optimiser step; their seeds are children of ``seed``, and none depends on the model. Global generators and
    train/eval flags are afterwards as before; inside, the global generator is seeded from ``seed`` too.

    Args:
        model: Maps inputs ``(N, *)`` to logits ``(N, C)``, or to predictions shaped like the targets.
        train: Pairs of input and target: a label in ``0 .. C - 1``, or standardised values. At least ``config.batch``.
        val: The same, at least one pair; never trained on.
        config: Settings.
        task: ``"classification"`` (cross-entropy) or ``"regression"`` (mean squared error).
        seed: Root seed of the run. The initial weights are the caller's.
        target_std: Standard deviation, ``> 0``, that regression targets were divided by.
        target_mean: Mean that was subtracted before; regression metrics are in original units.
        extra_loss: ``extra_loss(model, x, y, outputs)``, a scalar added to the loss of each step.
        on_step: Called with the number of optimiser steps done, before each step; it may change the model's rates.
            A resumed run calls it for the steps still to do, so it should set what the number says, not count.
        on_epoch: Called with the epoch, from 1, and its record, after each epoch.
        checkpoint: File to continue from, where it exists, and to save to. A run continued after any epoch ends with
            the same weights and history, bit for bit, as one never stopped. The file stays when the run is over.
        checkpoint_seconds: Save when an epoch ends and so many seconds have passed since the last save, or since the
            start; 0: after every epoch. No result depends on it.

    Returns:
        History and outcome. A run that diverges returns, too.

    Raises:
        ConfigError: settings contradict task or model, or the checkpoint is another run's.
        DataError: data is unusable, or the checkpoint is damaged.
        ShapeError: model, inputs and targets do not fit each other.
        FolderError: the checkpoint cannot be read or written.
    """
    check_task(task)
    real("target_mean", target_mean)
    real("target_std", target_std, low=0.0, open_low=True)
    real("checkpoint_seconds", checkpoint_seconds, low=0.0)
    device = device_of(model)
    with own_generators(device), flags_kept(model):
        seed_generators(device, child_seed(seed, "global"))
        problem = Problem(
            samples(train, "train"), samples(val, "val"), task, float(target_mean), float(target_std)
        )
        check_run(model, problem.train, problem.val, config, task)
        run = Run(model, problem, config, seed, extra_loss, on_step)
        file = None if checkpoint is None else Checkpoint(checkpoint, _owner(run))
        with run.masks:
            saved = None if file is None else file.load()
            if saved is not None:
                run.load_state_dict(saved)
            _go_on(run, on_epoch, file, checkpoint_seconds)
        return _result(run)


def _go_on(
    run: Run, on_epoch: Callable[[int, Record], object] | None, file: Checkpoint | None, interval: float
) -> None:
    last_save = monotonic()
    while not run.finished:
        record = run.next_epoch()
        if record is None:
            return
        if on_epoch is not None:
            on_epoch(run.epoch, record)
        if file is not None and monotonic() - last_save >= interval:
            file.save(run.state_dict())
            last_save = monotonic()


def _result(run: Run) -> FitResult:
    speed = median(run.step_medians) if run.step_medians else math.nan
    if run.diverged:
        return FitResult(
            "diverged", run.history, run.step, speed, 0, diverged_epoch=run.epoch + 1, diverged_step=run.step
        )
    best = run.epoch
    if run.early is not None:
        best = run.early.best_epoch
        restore(run.model, run.early.weights)
    return FitResult("ok", run.history, run.step, speed, best, run.epoch if run.stopped_early else None)


def _owner(run: Run) -> str:
    """Return the fingerprint of everything that decides how the run goes, as far as it can be told."""
    problem = run.problem
    named = chain(run.model.named_parameters(), run.model.named_buffers())
    return fingerprint(
        {
            "config": run.config.to_dict(),
            "seed": run.seed,
            "task": problem.task,
            "target": [problem.target_mean, problem.target_std],
            "train": problem.train.signature(),
            "val": problem.val.signature(),
            "model": [
                [name, list(value.shape), str(value.dtype), value.requires_grad] for name, value in named
            ],
        }
    )
