"""The result of a paired comparison, and the sentence that says it."""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from dropkit.stats.wording import Finding

Verdict = Literal["helped", "hurt", "no difference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Paired results of a treatment against those of a baseline.

    Args:
        n: Pairs.
        baseline_mean: Mean result of the baseline.
        treatment_mean: Mean result of the treatment.
        difference: Mean of treatment - baseline, in the metric's unit.
        low: Lower limit of the interval of ``difference``; it and ``high`` leave out 0 exactly where
            ``p_adjusted < alpha``.
        high: Upper limit.
        level: Nominal coverage of that interval: ``1 - alpha``, or more in a family of comparisons.
        sd: Standard deviation of the differences (ddof = 1).
        sd_low: Lower limit of the ``1 - alpha`` interval of the sd; NaN where the sd is 0.
        sd_high: Upper limit.
        p: Two-sided p of the paired t-test, for this comparison alone.
        p_adjusted: Holm's p over the ``family``; the verdict rests on it.
        p_permutation: Exact sign-flip p; NaN for overlapping splits, to which it does not apply.
        min_p: Least value that ``p_permutation`` can take, ``2**(1 - n)``.
        bca: Bootstrap interval of the mean, informative only; NaN where it does not apply.
        mde: Effect that would be found with probability 0.8 at this sd; NaN where that is 0.
        mde_low: The same at ``sd_low``.
        mde_high: The same at ``sd_high``.
        alpha: Level of the decision, over the whole family.
        family: Number of comparisons decided together.
        larger_is_better: Which sign of ``difference`` is a help.
        test_train_ratio: Size of the test part over the training part of a split a seed; None: independent.
        degenerate: All differences are equal and not 0, so that no sd can be estimated and t does not apply.
        verdict: ``"helped"``, ``"hurt"`` or ``"no difference"``.
        warnings: What a reader should know before relying on it.
        baseline: Name of the baseline, for the sentence.
        treatment: Name of the treatment.
        metric: Name of the metric.
    """

    n: int
    baseline_mean: float
    treatment_mean: float
    difference: float
    low: float
    high: float
    level: float
    sd: float
    sd_low: float
    sd_high: float
    p: float
    p_adjusted: float
    p_permutation: float
    min_p: float
    bca: tuple[float, float]
    mde: float
    mde_low: float
    mde_high: float
    alpha: float
    family: int
    larger_is_better: bool
    test_train_ratio: float | None
    degenerate: bool
    verdict: Verdict
    warnings: tuple[str, ...]
    baseline: str
    treatment: str
    metric: str

    @property
    def no_larger_than(self) -> float:
        """The largest size of difference that the interval allows, ``max(|low|, |high|)``."""
        return max(abs(self.low), abs(self.high))

    @property
    def sentence(self) -> str:
        """One sentence that can be quoted as it stands, in the unit of the results."""
        return Finding(
            treatment=self.treatment,
            baseline=self.baseline,
            metric=self.metric,
            verdict=self.verdict,
            difference=self.difference,
            low=self.low,
            high=self.high,
            level=self.level,
            sd=self.sd,
            p=self.p_adjusted,
            family=self.family,
            n=self.n,
            overlapping=self.test_train_ratio is not None,
            degenerate=self.degenerate,
        ).sentence()

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and the sentence as JSON values; what is not finite becomes None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"bca": list(self.bca), "warnings": list(self.warnings), "sentence": self.sentence}
        return {name: _json(value) for name, value in values.items()}


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
