"""The state of one run, and what happens to it in an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from dropkit.core import ShapeError
from dropkit.random import child_seed, stream
from dropkit.train.config import TrainConfig
from dropkit.train.early import EarlyStopping
from dropkit.train.evaluate import outputs_of
from dropkit.train.max_norm import MaxNorm
from dropkit.train.metrics import Task, larger_is_better, metrics
from dropkit.train.optimizer import build_optimizer
from dropkit.train.samples import Samples, batches
from dropkit.train.schedule import learning_rate
from dropkit.train.weights import all_finite, device_of, restore, snapshot

Record = dict[str, Any]
ExtraLoss = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """What is to be learnt: data, task, and the units of regression targets."""

    train: Samples
    val: Samples
    task: Task
    target_mean: float
    target_std: float


class Run:
    """One run between two epochs: model, optimiser, generators, history.

    Args:
        model: Trained in place.
        problem: Checked data.
        config: Settings.
        seed: Root seed; order and augmentation get a generator each, masks a stream.
        extra_loss: Added to the loss of each step, or None.
        on_step: Called with the step's number before each step, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        problem: Problem,
        config: TrainConfig,
        seed: int,
        extra_loss: ExtraLoss | None,
        on_step: Callable[[int], object] | None,
    ) -> None:
        self.model, self.problem, self.config, self.seed = model, problem, config, seed
        self.extra_loss, self.on_step = extra_loss, on_step
        self.device = device_of(model)
        self.optimizer = build_optimizer(model, config)
        self.max_norm = None if config.max_norm is None else MaxNorm(model, config.max_norm)
        self.augment = config.augmentations
        self.order = Generator().manual_seed(child_seed(seed, "order"))
        self.augmenting = Generator().manual_seed(child_seed(seed, "augment"))
        self.masks = stream(child_seed(seed, "masks"))
        self.early: EarlyStopping | None = None
        if config.patience is not None:
            self.early = EarlyStopping(config.patience, larger_is_better(config.monitor))
        self.steps_an_epoch = len(batches(torch.arange(len(problem.train)), config.batch))
        self.step = 0  # optimiser steps done
        self.history: list[Record] = []
        self.step_medians: list[float] = []  # seconds, one an epoch
        self.diverged = False

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left to do."""
        return self.diverged or self.epoch == self.config.epochs or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether patience ran out before the last epoch."""
        return self.early is not None and self.early.exhausted and self.epoch < self.config.epochs

    def next_epoch(self) -> Record | None:
        """Train and evaluate one epoch; return its record, or None if the run diverged in it."""
        if not self._train():
            self.diverged = True
            return None
        record: Record = {"epoch": self.epoch + 1}
        # a stream of its own: a model that draws in evaluation, too, must not move the masks of training
        with stream(child_seed(self.seed, "evaluation"), step=self.epoch):
            for name, part in (("train", self.problem.train), ("val", self.problem.val)):
                found = self._measure(part)
                if found is None:
                    self.diverged = True
                    return None
                record[name] = found
        self.history.append(record)
        if self.early is not None:
            self.early.look(self.epoch, record["val"][self.config.monitor], self.model)
        return record

    def _train(self) -> bool:
        """Do the steps of an epoch; return whether loss and weights stayed finite."""
        self.model.train()
        seconds = []
        order = torch.randperm(len(self.problem.train), generator=self.order)
        for numbers in batches(order, self.config.batch):
            if self.on_step is not None:
                self.on_step(self.step)
            start = perf_counter()
            if not self._step(numbers):
                return False
            seconds.append(perf_counter() - start)
        self.step_medians.append(median(seconds))
        return all_finite(self.model)

    def _step(self, numbers: Tensor) -> bool:
        """Do one optimiser step; return whether its loss is finite. If not, nothing is updated."""
        x, y = self.problem.train.take(numbers)
        for change in self.augment:
            x = change(x, self.augmenting)
        x, y = x.to(self.device), y.to(self.device)
        outputs = self.model(x)
        loss = self._loss(outputs, y)
        if self.extra_loss is not None:
            extra = self.extra_loss(self.model, x, y, outputs)
            if extra.numel() != 1:
                raise ShapeError(f"extra_loss must return a single number, got shape {tuple(extra.shape)}")
            loss = loss + extra.reshape(())
        if not math.isfinite(loss.item()):
            return False
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(self.config, self.step, self.steps_an_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        if self.max_norm is not None:
            self.max_norm.project()
        self.step += 1
        self.masks.advance()
        return True

    def _loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        if self.problem.task == "classification":
            return F.cross_entropy(outputs, y.long(), label_smoothing=self.config.label_smoothing)
        return F.mse_loss(outputs, y)

    def _measure(self, part: Samples) -> dict[str, float] | None:
        """Return the metrics on ``part``, or None if some output is not finite."""
        outputs, targets = outputs_of(self.model, part, self.config.eval_batch)
        if not bool(outputs.isfinite().all()):
            return None
        problem = self.problem
        return metrics(outputs, targets, problem.task, problem.target_mean, problem.target_std)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rest of the run depends on."""
        on_gpu = self.device.type == "cuda"
        return {
            "model": snapshot(self.model),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "history": self.history,
            "step_medians": self.step_medians,
            "early": None if self.early is None else self.early.state_dict(),
            "order": self.order.get_state(),
            "augment": self.augmenting.get_state(),
            "masks": self.masks.state_dict(),
            "global": torch.get_rng_state(),
            "global_cuda": torch.cuda.get_rng_state(self.device) if on_gpu else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`; the stream must have been entered."""
        restore(self.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.history, self.step_medians = state["step"], state["history"], state["step_medians"]
        if self.early is not None:
            self.early.load_state_dict(state["early"])
        self.order.set_state(state["order"])
        self.augmenting.set_state(state["augment"])
        self.masks.load_state_dict(state["masks"])
        torch.set_rng_state(state["global"])
        if state["global_cuda"] is not None:
            torch.cuda.set_rng_state(state["global_cuda"], self.device)
