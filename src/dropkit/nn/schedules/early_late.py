"""Early and late dropout: on only in the first steps, or only after them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dropkit.core import OptionError, Variant, check_rate, register
from dropkit.nn.schedules.checks import check_steps
from dropkit.nn.units.dropout import Dropout
from dropkit.random import Schedule

_PAPER = 'Liu et al., "Dropout Reduces Underfitting", ICML 2023, arXiv:2303.01500'


@dataclass(frozen=True)
class EarlyDropout(Schedule):
    """Dropout for the first ``steps`` steps, and none afterwards: against underfitting.

    Args:
        rate: Rate at step 0, in ``[0, 1]``.
        steps: Steps with dropout, at least 1.
        shape: ``"linear"``: ``rate * (1 - step / steps)``; ``"constant"``: ``rate``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]``.
        OptionError: ``steps`` is below 1, or ``shape`` is neither word.

    Reference:
        Liu et al., "Dropout Reduces Underfitting", ICML 2023, arXiv:2303.01500, sec. 4. *Departures*: the line would
        reach 0 at the first step without dropout (their code: at the last one with it).
    """

    rate: float
    steps: int
    shape: str = "linear"

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_steps("steps", self.steps)
        if self.shape not in ("linear", "constant"):
            raise OptionError(f"shape must be 'linear' or 'constant', got {self.shape!r}")

    def at(self, step: int) -> float:
        """Return the rate at ``step``, counted from 0."""
        if step >= self.steps:
            return 0.0
        return self.rate * (1.0 - step / self.steps) if self.shape == "linear" else self.rate


@dataclass(frozen=True)
class LateDropout(Schedule):
    """No dropout for the first ``steps`` steps, and ``rate`` afterwards: against overfitting.

    Args:
        rate: Rate from step ``steps`` on, in ``[0, 1]``.
        steps: Steps without dropout, at least 1.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]``.
        OptionError: ``steps`` is below 1.

    Reference:
        Liu et al., "Dropout Reduces Underfitting", ICML 2023, arXiv:2303.01500, sec. 4.
    """

    rate: float
    steps: int

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_steps("steps", self.steps)

    def at(self, step: int) -> float:
        """Return the rate at ``step``, counted from 0."""
        return self.rate if step >= self.steps else 0.0


register(
    Variant(
        name="early_dropout",
        family="schedules",
        kind="schedule",
        op=None,
        module=None,
        paper=_PAPER,
        year=2023,
        law="rate(t) = rate (1 - t / steps), or rate, for t < steps, and 0 afterwards",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (Dropout(EarlyDropout(0.5, 100)), torch.ones(8, 16)),
    )
)
register(
    Variant(
        name="late_dropout",
        family="schedules",
        kind="schedule",
        op=None,
        module=None,
        paper=_PAPER,
        year=2023,
        law="rate(t) = 0 for t < steps, and rate afterwards",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (Dropout(LateDropout(0.5, 1)), torch.ones(8, 16)),
    )
)
