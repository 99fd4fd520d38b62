"""``curriculum``: dropout that grows from nothing to its rate while training."""

from __future__ import annotations

from torch import nn

from dropkit.core import OptionError
from dropkit.nn import CurriculumSchedule
from dropkit.surgery.ready.entry import ReadyPlan
from dropkit.surgery.rules import Rule


def make(
    model: nn.Module | None,
    *,
    rate: float = 0.5,
    input_rate: float = 0.0,
    steps: int = 10_000,
    at: str | tuple[str, ...] = "hidden",
) -> list[Rule]:
    """Drop hidden units, and inputs where asked, at rates that reach their values within ``steps`` steps."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise OptionError(f"steps must be a whole number of at least 1, got {steps!r}")
    rules = [Rule(at=at, rate=CurriculumSchedule(rate, 10.0 / steps))]
    return (
        [Rule(at="input", rate=CurriculumSchedule(input_rate, 10.0 / steps)), *rules] if input_rate else rules
    )


PLAN = ReadyPlan(
    name="curriculum",
    paper='Morerio et al., "Curriculum Dropout", ICCV 2017, arXiv:1703.06229',
    needs="activations (functional ones need example_inputs) and a stream that counts steps",
    make=make,
    notes=(
        "curriculum: gamma is 10 / steps, as in the paper, where steps (10000 unless given) is the length of the "
        "training",
    ),
)
