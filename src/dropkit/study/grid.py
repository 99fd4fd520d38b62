"""Candidates: what a plan may turn out to be once its lists of rates are spelled out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

from dropkit.records import check_plan_name
from dropkit.study.config import OwnRateConfig, RuleConfig, StudyConfig

_Part = TypeVar("_Part", RuleConfig, OwnRateConfig)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One plan with one rate for each rule.

    Args:
        plan: Name of the plan it belongs to.
        name: Name of its run files: the plan's own, or ``plan@0.3`` (``plan@0.3,0.5`` for two grids).
        rules: The plan's rules, each with a single rate or None.
        own_rates: The rates of the model's own dropout, in the order in which they are set, each a single one.
        ready: Name and options of a ready-made plan, in the place of rules.
    """

    plan: str
    name: str
    rules: tuple[RuleConfig, ...]
    own_rates: tuple[OwnRateConfig, ...] = ()
    ready: Mapping[str, Any] | None = None


def candidates(config: StudyConfig) -> tuple[Candidate, ...]:
    """Return every candidate of every plan, in the order of the configuration.

    A plan whose rules, and then own rates, hold lists of rates becomes the Cartesian product of those lists, the last
    list running fastest; any other plan is its own single candidate.

    Raises:
        PlanError: So many lists that the candidates' names would be too long for a file.
    """
    found: list[Candidate] = []
    for plan, table in config.plans.items():
        parts: list[RuleConfig | OwnRateConfig] = [*table.rules, *table.own_rates]
        grids = [part.rate for part in parts if isinstance(part.rate, tuple)]
        for point in product(*grids):
            rates = iter(point)
            rules = tuple(_single(rule, rates) for rule in table.rules)
            own_rates = tuple(_single(own, rates) for own in table.own_rates)
            name = f"{plan}@{','.join(repr(rate) for rate in point)}" if grids else plan
            found.append(Candidate(plan, check_plan_name(name), rules, own_rates, table.ready))
    return tuple(found)


def _single(part: _Part, rates: Iterator[float]) -> _Part:
    return part.model_copy(update={"rate": next(rates)}) if isinstance(part.rate, tuple) else part
