"""``early-dropout``: dropout in the first steps of a training, against underfitting."""

from __future__ import annotations

from torch import nn

from dropkit.nn import EarlyDropout
from dropkit.surgery.ready.entry import ReadyPlan
from dropkit.surgery.rules import Rule


def make(
    model: nn.Module | None,
    *,
    rate: float = 0.1,
    steps: int = 1000,
    shape: str = "linear",
    at: str | tuple[str, ...] = "hidden",
) -> list[Rule]:
    """Drop hidden units for the first ``steps`` steps."""
    return [Rule(at=at, rate=EarlyDropout(rate, steps, shape))]


PLAN = ReadyPlan(
    name="early-dropout",
    paper='Liu et al., "Dropout Reduces Underfitting", ICML 2023, arXiv:2303.01500',
    needs="activations (functional ones need example_inputs) and a stream that counts steps",
    make=make,
    notes=(
        "early-dropout: steps (1000 unless given) is best a sixth of the training: 50 of 300 epochs in the paper, "
        "which also drops the outputs of attention, and tries stochastic depth in the place of dropout",
    ),
)
