"""One run in one process: data, weights, plan, training, one look at the test part, one file."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from dropkit import records
from dropkit.random import child_seed, stream
from dropkit.records import Epoch, RunRecord, Timing
from dropkit.study.config import StudyConfig
from dropkit.study.grid import Candidate
from dropkit.study.material import build, load, with_plan
from dropkit.study.schedule import Send
from dropkit.train import FitResult, evaluate, fit, weights_of


@dataclass(frozen=True, slots=True)
class RunJob:
    """One run: a candidate at a seed.

    Args:
        config: The study.
        candidate: What is attached.
        seed: Root of all the run's randomness.
        folder: The study's folder.
    """

    config: StudyConfig
    candidate: Candidate
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """Stem of the run's files."""
        return f"{self.candidate.name}--{self.seed}"

    @property
    def checkpoint(self) -> Path:
        """Where training continues from after an interruption."""
        return self.folder / "checkpoints" / f"{self.name}.pt"


def work(job: RunJob, send: Send) -> None:
    """Do ``job`` and write its files; sends ``(epoch, epochs, value on validation)`` after every epoch.

    Everything random hangs on the seed alone: weights, batch order, augmentation and masks are the same for every
    plan, but for what the plan's sites make of the masks. The run's own file comes last: where it is, all is done.
    """
    torch.set_num_threads(1)
    started, clock = datetime.now(UTC), perf_counter()
    config, candidate, seed = job.config, job.candidate, job.seed
    settings = config.train_config()
    data = load(config, seed)
    model = build(config, data, seed)
    scale: dict[str, Any] = {
        "task": data.task,
        "target_mean": data.target_mean,
        "target_std": data.target_std,
    }

    def tell(epoch: int, record: dict[str, Any]) -> None:
        send((epoch, settings.epochs, record["val"][config.metric]))

    test: dict[str, Any] = {}
    with with_plan(candidate, model, data):  # also while testing: scaling="test" acts there
        done = fit(
            model,
            data.train,
            data.val,
            settings,
            seed=seed,
            on_epoch=tell,
            checkpoint=job.checkpoint,
            **scale,
        )
        if done.status == "ok":
            with stream(child_seed(seed, "test")):
                test = evaluate(model, data.test, batch=settings.eval_batch, **scale)
            if config.keep_weights:
                # what older weights said no longer holds
                records.prediction_path(job.folder, candidate.name, seed).unlink(missing_ok=True)
                records.write_bytes(records.weights_path(job.folder, candidate.name, seed), weights_of(model))
    records.write_json(
        records.timing_path(job.folder, candidate.name, seed),
        Timing(
            plan=candidate.name,
            seed=seed,
            seconds=perf_counter() - clock,
            step_seconds=None if isnan(done.step_seconds) else done.step_seconds,
            host=f"{platform.node()} ({platform.system()} {platform.machine()})",
            started=started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )
    record = RunRecord(
        plan=candidate.name,
        seed=seed,
        status=done.status,
        epochs=[Epoch(**epoch) for epoch in done.epochs],
        test=test,
        error=None if done.status == "ok" else _divergence(done),
        best_epoch=done.best_epoch if 0 < done.best_epoch < len(done.epochs) else None,
    )
    records.write_json(records.run_path(job.folder, candidate.name, seed), record)
    job.checkpoint.unlink(missing_ok=True)


def _divergence(done: FitResult) -> str:
    return f"loss, weights or outputs became NaN or infinite in epoch {done.diverged_epoch}"
