"""Candidates: what a plan may turn out to be once its lists of rates are spelled out."""

from dataclasses import dataclass
from itertools import product

from dropkit.records import check_plan_name
from dropkit.study.config import RuleConfig, StudyConfig


@dataclass(frozen=True, slots=True)
class Candidate:
    """One plan with one rate for each rule.

    Args:
        plan: Name of the plan it belongs to.
        name: Name of its run files: the plan's own, or ``plan@0.3`` (``plan@0.3,0.5`` for two grids).
        rules: The plan's rules, each with a single rate or None.
    """

    plan: str
    name: str
    rules: tuple[RuleConfig, ...]


def candidates(config: StudyConfig) -> tuple[Candidate, ...]:
    """Return every candidate of every plan, in the order of the configuration.

    A plan whose rules hold lists of rates becomes the Cartesian product of those lists, the last list running
    fastest; any other plan is its own single candidate.

    Raises:
        PlanError: So many lists that the candidates' names would be too long for a file.
    """
    found: list[Candidate] = []
    for plan, table in config.plans.items():
        grids = [rule.rate for rule in table.rules if isinstance(rule.rate, tuple)]
        for point in product(*grids):
            rates = iter(point)
            rules = tuple(
                rule.model_copy(update={"rate": next(rates)}) if isinstance(rule.rate, tuple) else rule
                for rule in table.rules
            )
            name = f"{plan}@{','.join(repr(rate) for rate in point)}" if grids else plan
            found.append(Candidate(plan, check_plan_name(name), rules))
    return tuple(found)
