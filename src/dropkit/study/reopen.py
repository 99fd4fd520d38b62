"""A finished run as it was at its end: data, model, plan attached, weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from dropkit import records, zoo
from dropkit.core import FolderError, unknown_name
from dropkit.random import child_seed, stream
from dropkit.study.config import StudyConfig, load_config
from dropkit.study.grid import Candidate, candidates
from dropkit.study.material import build, load, with_plan
from dropkit.train import evaluate, load_weights
from dropkit.train.samples import batches, samples


@dataclass(frozen=True, slots=True, eq=False)
class Reopened:
    """A finished run.

    Args:
        config: The study's.
        candidate: What is attached to the model.
        seed: The run's.
        data: Split as it was for the run.
        model: With the weights that were tested, in eval mode.
    """

    config: StudyConfig
    candidate: Candidate
    seed: int
    data: zoo.Data
    model: nn.Module

    @property
    def name(self) -> str:
        """``<plan>--<seed>``."""
        return f"{self.candidate.name}--{self.seed}"


@contextmanager
def reopen(folder: str | os.PathLike[str], plan: str, seed: int) -> Iterator[Reopened]:
    """Return a context with a run of a study, its plan attached to its model.

    Args:
        folder: The study's.
        plan: Name of the run's plan, or of its candidate where rates are a grid (``hidden@0.3``).
        seed: Of the run.

    Raises:
        FolderError: There is no such run, it did not end well, or its weights were not kept.
        UnknownNameError: The study has no such plan.
        InputError: Data, model or weights cannot be had any more.
    """
    place = Path(folder)
    records.read_study(place)
    config = load_config(place / "config.toml")
    found = {candidate.name: candidate for candidate in candidates(config)}
    if plan not in found:
        raise unknown_name(f"plan of the study in {place}:", plan, found)
    run = records.read_run(records.run_path(place, plan, seed))
    if run.status != "ok":
        raise FolderError(f"run {plan}--{seed} in {place} {run.status}; choose another run")
    weights = records.weights_path(place, plan, seed)
    if not weights.exists():
        raise FolderError(
            f"the weights of run {plan}--{seed} were not kept: there is no {weights}; delete the run's file in "
            f"{place / 'runs'} and start the study again, which repeats only this run, if its config keeps weights"
        )
    data = load(config, seed)
    model = build(config, data, seed)
    with with_plan(found[plan], model, data):
        few = torch.utils.data.Subset(data.train, range(2))
        evaluate(
            model, few, task=data.task, batch=2
        )  # gives shapes to parameters that wait for a first batch
        load_weights(weights, model)
        model.eval()
        epochs = run.best_epoch or len(run.epochs)
        with stream(
            child_seed(seed, "masks"), step=_last_step(config, data, epochs)
        ):  # where schedules ended
            yield Reopened(config, found[plan], seed, data, model)


def _last_step(config: StudyConfig, data: zoo.Data, epochs: int) -> int:
    """Return the step of the last optimiser step within so many epochs."""
    rows = torch.arange(len(samples(data.train, "train")))
    return max(epochs * len(batches(rows, config.train_config().batch)) - 1, 0)


def find_run(reference: str) -> tuple[Path, str, int]:
    """Return folder, plan and seed of the run that ``reference`` names.

    Args:
        reference: ``DIR/runs/<plan>--<seed>.json``, ``DIR:<plan>--<seed>``, or ``DIR`` for the study's best plan at the
            first seed that ended well.

    Raises:
        FolderError: There is no such run.
    """
    path = Path(reference)
    if path.is_dir():
        return path, *_best(path)
    folder, colon, name = reference.rpartition(":")
    if path.suffix == ".json" and path.parent.name == "runs":
        run = path
    elif colon and Path(folder).is_dir():
        records.read_study(folder)
        run = Path(folder) / "runs" / f"{name}.json"
        if not run.exists():
            raise FolderError(f"{folder} has no run {name!r}; it has {_listed(Path(folder))}")
    else:
        raise FolderError(
            f"{reference} is no run; give DIR, DIR:<plan>--<seed> or DIR/runs/<plan>--<seed>.json, DIR being a study's"
        )
    record = records.read_run(run)
    return run.parent.parent, record.plan, record.seed


def best_candidates(folder: Path) -> tuple[str, str | None]:
    """Return the names of the baseline's candidate and of the best plan's, as a study's results tell."""
    results = records.read_results(folder)
    names = [
        None if plan is None else results.plans[plan].chosen or plan
        for plan in (results.baseline, results.best)
    ]
    return str(names[0]), names[1]


def _best(folder: Path) -> tuple[str, int]:
    records.read_study(folder)
    if not records.results_path(folder).exists():
        raise FolderError(
            f"{folder} is not finished, so no plan is the best yet; start the study again, which goes on, or name a "
            f"run: {_listed(folder)}"
        )
    _, best = best_candidates(folder)
    runs = records.load_runs(folder)
    seeds = load_config(folder / "config.toml").seeds
    for seed in seeds:
        if best is not None and (best, seed) in runs and runs[best, seed].status == "ok":
            return best, seed
    raise FolderError(f"{folder} has no best plan with a run that ended well; name a run: {_listed(folder)}")


def _listed(folder: Path) -> str:
    names = [f"{plan}--{seed}" for plan, seed in records.load_runs(folder)]
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "") if names else "none"
