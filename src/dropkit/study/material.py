"""What a run is made of: data, model and plan, each drawn from a named child of the run's seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from dropkit import surgery, zoo
from dropkit.core import InputError, PlanError
from dropkit.random import child_seed
from dropkit.study.config import StudyConfig
from dropkit.study.grid import Candidate
from dropkit.study.rates import schedule_data


def load(config: StudyConfig, seed: int) -> zoo.Data:
    """Return the data of a run: split by ``[data] split_seed``, or with ``resplit`` by ``seed`` as well."""
    asked = config.data.model_dump()
    if config.resplit:
        asked["split_seed"] = child_seed(seed, f"split {config.data.split_seed}")
    with _seeded(child_seed(config.data.split_seed, "data")):
        return zoo.load_data(**asked, resplit=config.resplit)


def build(config: StudyConfig, data: zoo.Data, seed: int) -> nn.Module:
    """Return the model with the initial weights of ``seed``: the same for every plan."""
    with _seeded(child_seed(seed, "weights")):
        return zoo.build_model(
            config.model.name, input_shape=data.input_shape, outputs=data.outputs, **config.model.options
        )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed all global generators that a user's factory may draw from, and put them back afterwards."""
    python, array = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(array)


def with_plan(candidate: Candidate, model: nn.Module, data: zoo.Data) -> AbstractContextManager[Any]:
    """Return a context in which the candidate acts on ``model``: its own dropout at new rates, and the rules.

    Raises:
        PlanError: A rule or rate is wrong or matches nothing; the text names the plan.
    """
    if not candidate.rules and not candidate.own_rates and candidate.ready is None:
        return nullcontext()
    try:
        example = torch.stack([torch.as_tensor(data.train[row][0]) for row in range(2)])
        with ExitStack() as acting:
            for own in candidate.own_rates:
                rate: Any = own.rate
                acting.enter_context(surgery.set_rate(model, rate, own.at, example_inputs=example))
            rules = _ready(candidate.ready, model)
            if candidate.rules or rules:
                rules += [
                    surgery.Rule(**{**rule.model_dump(), "rate": schedule_data(rule.rate)})
                    for rule in candidate.rules
                ]
                acting.enter_context(surgery.plan(model, rules, example_inputs=example).apply(model))
            return acting.pop_all()
    except InputError as error:
        raise PlanError(f"plans.{candidate.plan}: {error}") from error


def _ready(table: Mapping[str, Any] | None, model: nn.Module) -> list[surgery.Rule]:
    if table is None:
        return []
    options = {key: value for key, value in table.items() if key != "name"}
    return surgery.ready(table["name"], model=model, **options)
