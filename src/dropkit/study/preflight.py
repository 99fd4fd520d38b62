"""Looking before leaping: everything that can be known to fail, before a folder is made or a run started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import isnan
from time import perf_counter
from typing import Any

import torch
from torch.utils.data import Subset

from dropkit import zoo
from dropkit.core import ConfigError, InputError
from dropkit.records import Fingerprint
from dropkit.stats import LARGER_IS_BETTER
from dropkit.study.config import StudyConfig
from dropkit.study.fingerprint import fingerprint
from dropkit.study.grid import Candidate
from dropkit.study.material import build, load, with_plan
from dropkit.train import evaluate, fit

_TRIAL_STEPS = 3  # the first one warms up; the median is not bothered by it


@dataclass(frozen=True, slots=True)
class Facts:
    """What the preflight found out.

    Args:
        task: ``"classification"`` or ``"regression"``.
        sizes: Examples in the training, validation and test part.
        class_names: Of a classification, where known.
        run_seconds: Estimate of a run's duration, mean over the plans, on one thread.
        fingerprint: By which the study recognises its data and model later.
    """

    task: zoo.Task
    sizes: tuple[int, int, int]
    class_names: tuple[str, ...] | None
    run_seconds: float
    fingerprint: Fingerprint

    @property
    def test_train_ratio(self) -> float:
        """Size of the test part over that of the training part."""
        return self.sizes[2] / self.sizes[0]


def preflight(config: StudyConfig, candidates: Sequence[Candidate]) -> Facts:
    """Load the data of the first seed, build the model, and train it for a few steps under every plan.

    Global generators and the number of threads are afterwards as before.

    Raises:
        InputError: Something does not work; one line that says which part of the configuration is at fault.
    """
    _refuse_main(config)
    first = {candidate.plan: candidate for candidate in reversed(candidates)}  # of a grid, one will do
    with one_thread():
        data = load(config, config.seeds[0])
        sizes = (_size(data.train), _size(data.val), _size(data.test))
        _trial(config, None, data, sizes)  # what fails here is no plan's fault
        seconds = [_trial(config, first[plan], data, sizes) for plan in config.plans]
        known_by = fingerprint(config, data, lambda: build(config, data, config.seeds[0]))
    return Facts(data.task, sizes, data.class_names, sum(seconds) / len(seconds), known_by)


def _refuse_main(config: StudyConfig) -> None:
    """Refuse what runs could not find: their processes know nothing of the caller's script or notebook."""
    for table, name in (("data", config.data.name), ("model", config.model.name)):
        if name.startswith("__main__:"):
            raise ConfigError(
                f"{table}: name = {name!r} is known to this process alone, and every run has its own; put the factory "
                "into a module beside your script or notebook"
            )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: more of them on busy cores are many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _trial(
    config: StudyConfig, candidate: Candidate | None, data: zoo.Data, sizes: tuple[int, int, int]
) -> float:
    """Train and evaluate for a moment, None: without a plan; return the estimate of a whole run's seconds."""
    seed, settings = config.seeds[0], config.train_config()
    few = Subset(data.train, range(min(sizes[0], _TRIAL_STEPS * settings.batch)))
    look = Subset(data.val, range(min(sizes[1], settings.eval_batch)))
    scale: dict[str, Any] = {
        "task": data.task,
        "target_mean": data.target_mean,
        "target_std": data.target_std,
    }
    model = build(config, data, seed)
    try:
        with nullcontext() if candidate is None else with_plan(candidate, model, data):
            done = fit(model, few, look, replace(settings, epochs=1), seed=seed, **scale)
            start = perf_counter()
            found = evaluate(model, look, batch=settings.eval_batch, **scale) if done.status == "ok" else {}
            looking = perf_counter() - start
    except Exception as error:
        raise _named(error, config, candidate) from error
    if found and not isinstance(found.get(config.metric), float):
        known = ", ".join(sorted(name for name in found if name in LARGER_IS_BETTER))
        raise ConfigError(f"metric must be one of {known} for {data.task}, got {config.metric!r}")
    steps = settings.epochs * max(1, sizes[0] // settings.batch)
    looks = settings.epochs * (sizes[0] + sizes[1]) / len(look)
    stepping = 0.0 if isnan(done.step_seconds) else done.step_seconds  # NaN: it diverged at the first step
    return steps * stepping + looks * looking


def _named(error: Exception, config: StudyConfig, candidate: Candidate | None) -> InputError:
    """Return ``error`` as one that says which part of the configuration it comes from."""
    where = "" if candidate is None else f"plans.{candidate.plan}: "
    if isinstance(error, InputError):
        return error if str(error).startswith(where) else ConfigError(f"{where}{error}")
    text = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
    return ConfigError(
        f"{where}model {config.model.name} fails in its first training steps: {text}; correct it"
    )


def _size(part: Any) -> int:
    return len(part)  # torch does not say that a Dataset has a length
