"""The sentence that says a paired comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the sentence is made of; fields as those of :class:`dropkit.stats.Comparison`.

    Args:
        treatment: Name of the treatment.
        baseline: Name of the baseline.
        metric: Name of the metric.
        verdict: ``"helped"``, ``"hurt"`` or ``"no difference"``.
        difference: Mean of treatment - baseline.
        low: Lower limit of its interval.
        high: Upper limit.
        level: Coverage of the interval.
        sd: Standard deviation of the differences.
        p: Holm's p over the family.
        family: Comparisons decided together.
        n: Pairs.
        overlapping: Whether the pairs are overlapping splits.
        degenerate: Whether all differences are equal and not 0.
    """

    treatment: str
    baseline: str
    metric: str
    verdict: str
    difference: float
    low: float
    high: float
    level: float
    sd: float
    p: float
    family: int
    n: int
    overlapping: bool
    degenerate: bool

    def sentence(self, *, points: bool = False) -> str:
        """Return one sentence that can be quoted as it stands; with ``points``, a share in percentage points."""
        factor, unit = (100.0, " percentage points") if points else (1.0, "")
        difference, low, high = (factor * value for value in (self.difference, self.low, self.high))
        evidence = self._evidence(low, high)
        if self.verdict != "no difference":
            way = "higher" if difference > 0.0 else "lower"
            return (
                f"{self.treatment} {self.verdict}: {self.metric} was {abs(difference):.3g}{unit} {way} "
                f"than with {self.baseline} ({evidence})."
            )
        subject = f"{self.treatment} against {self.baseline}, {self.metric}"
        largest = max(abs(low), abs(high))
        if math.isinf(largest):
            return (
                f"{subject}: no difference established, though it was {difference:.3g}{unit} in every pair: "
                f"without spread no limit can be given ({evidence})."
            )
        return f"{subject}: no difference larger than {largest:.3g}{unit} found ({evidence})."

    def _evidence(self, low: float, high: float) -> str:
        pairs = (
            f"{self.n} paired splits, corrected for their overlap"
            if self.overlapping
            else f"{self.n} paired seeds"
        )
        p = f"{'Holm-adjusted ' if self.family > 1 else ''}p = {self.p:.2g}"
        if self.degenerate:
            return f"the same difference in every pair, sign-flip {p}, {pairs}"
        if self.sd == 0.0:
            return f"both are equal in every pair, {p}, {pairs}"
        coverage = f"{100 * self.level:.3g} %"
        return f"{coverage} interval of the difference {low:.3g} to {high:.3g}, {p}, {pairs}"
