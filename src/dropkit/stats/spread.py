"""Is training more stable? The ratio of the variances of two paired columns of results."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from dropkit.stats.inputs import check_alpha, check_paired
from dropkit.stats.t_test import rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceRatio:
    """How the spread across seeds of a treatment compares with that of a baseline.

    Args:
        n: Pairs.
        sd_baseline: Standard deviation of the baseline's results (ddof = 1).
        sd_treatment: Standard deviation of the treatment's results.
        correlation: Between the two columns.
        ratio: ``sd_treatment**2 / sd_baseline**2``; below 1 the treatment is the steadier one.
        low: Lower limit of the ``1 - alpha`` interval of the ratio; 1 is left out exactly where ``p < alpha``.
        high: Upper limit.
        p: Two-sided p of equal variances.
        alpha: Level of the decision.
        degenerate: A column is constant, or the two are proportional: no test applies, ``p`` is 1.
        verdict: ``"steadier"``, ``"less steady"`` or ``"no difference"``.
    """

    n: int
    sd_baseline: float
    sd_treatment: float
    correlation: float
    ratio: float
    low: float
    high: float
    p: float
    alpha: float
    degenerate: bool
    verdict: Literal["steadier", "less steady", "no difference"]

    @property
    def sentence(self) -> str:
        """One sentence that can be quoted as it stands."""
        seeds = f"{self.n} paired seeds"
        if self.degenerate:
            reason = "as a column is constant or proportional to the other"
            return f"Spread across seeds: no comparison possible, {reason} ({seeds})."
        said = {
            "steadier": "the treatment is steadier than the baseline",
            "less steady": "the treatment is less steady than the baseline",
            "no difference": "no difference found",
        }[self.verdict]
        return (
            f"Spread across seeds: {said}; ratio of variances {self.ratio:.3g} "
            f"({100 * (1 - self.alpha):.3g} % interval {self.low:.3g} to {self.high:.3g}, p = {self.p:.2g}, {seeds})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and the sentence as JSON values; what is not finite becomes None."""
        values = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }
        return values | {"sentence": self.sentence}


def variance_ratio(baseline: npt.ArrayLike, treatment: npt.ArrayLike, alpha: float = 0.05) -> VarianceRatio:
    """Estimate the ratio of variances of paired results, by the Pitman-Morgan test and its inversion.

    Paired columns share their seeds and so are correlated, which the F test ignores. With ``w`` the sample ratio
    and ``r`` the correlation, ``(w - theta) sqrt(n - 2) / (2 sqrt(theta w (1 - r**2)))`` has, at the true ratio
    ``theta``, a t distribution with ``n - 2`` degrees of freedom for normal pairs. Solving for ``theta`` gives
    ``w (k -+ sqrt(k**2 - 1))`` with ``k = 1 + 2 (1 - r**2) t**2 / (n - 2)``.

    Heavy tails make the test reject too often: with few seeds, or one outlying run, read it as a hint.

    Args:
        baseline: Finite results, shape ``(n,)``, ``n >= 3``.
        treatment: The same shape, in the same order of seeds.
        alpha: Level, in (0, 1).

    Raises:
        DataError: (a ValueError) Unequal lengths, NaN or infinite values, ``n < 3``, ``alpha`` out of range.

    Reference:
        Pitman, "A Note on Normal Correlation", and Morgan, "A Test for the Significance of the Difference between
        the two Variances in a Sample from a Normal Bivariate Population", both Biometrika 31 (1939).
    """
    a, b = check_paired(baseline, treatment, least=3)
    level, n = check_alpha(alpha), len(a)
    unit = max(float(np.ptp(a)), float(np.ptp(b))) or 1.0  # squares must not under- or overflow
    a_part, b_part = (a - a[0]) / unit, (b - b[0]) / unit
    (var_a, covariance), (_, var_b) = np.cov(a_part, b_part)
    # What rounding alone can make of an sd or of 1 - r**2 counts as 0.
    noise = (float(rounding(a, b)) / unit) ** 2
    flat = min(var_a, var_b) <= noise
    r = 0.0 if flat else float(covariance / np.sqrt(var_a * var_b))
    degenerate = bool(flat or 1.0 - r**2 <= 1e-12 + noise / min(var_a, var_b))
    if flat:
        ratio = float("nan") if var_a <= noise else 0.0
        ratio = math.inf if var_a <= noise < var_b else ratio
    else:
        ratio = float(var_b / var_a)
    low, high, p = 0.0, math.inf, 1.0
    if not degenerate:
        free = (1.0 - r**2) / (n - 2)
        t = abs(ratio - 1.0) / (2.0 * math.sqrt(ratio * free))
        p = min(1.0, 2.0 * float(special.stdtr(n - 2, -t)))
        excess = 2.0 * free * float(special.stdtrit(n - 2, 1.0 - level / 2.0)) ** 2
        factor = 1.0 + excess + math.sqrt(excess * (2.0 + excess))
        low, high = ratio / factor, ratio * factor
    return VarianceRatio(
        n=n,
        sd_baseline=math.sqrt(var_a) * unit,
        sd_treatment=math.sqrt(var_b) * unit,
        correlation=float("nan") if flat else r,
        ratio=ratio,
        low=low,
        high=high,
        p=p,
        alpha=level,
        degenerate=degenerate,
        verdict="no difference" if p >= level else "steadier" if ratio < 1.0 else "less steady",
    )
