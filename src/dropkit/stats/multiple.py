"""Several treatments against baselines, decided together, so that a false claim among all of them is rare."""

from collections.abc import Mapping

import numpy.typing as npt

from dropkit.stats.bootstrap import bca_interval
from dropkit.stats.comparison import Comparison, Verdict
from dropkit.stats.holm import holm
from dropkit.stats.inputs import Floats, check_alpha, check_paired, check_ratio
from dropkit.stats.permutation import sign_flip_p
from dropkit.stats.power import mde, sd_interval
from dropkit.stats.t_test import PairedT, interval, paired_t, rounding


def compare_many(
    baseline: npt.ArrayLike,
    treatments: Mapping[str, npt.ArrayLike],
    *,
    larger_is_better: bool = False,
    alpha: float = 0.05,
    test_train_ratio: float | None = None,
    baseline_name: str = "baseline",
    metric: str = "the metric",
    seed: int | None = None,
) -> dict[str, Comparison]:
    """Compare several treatments with one baseline, as :func:`compare` does, corrected by :func:`holm`.

    Args:
        baseline: Finite results, shape ``(n,)``, ``n >= 2``.
        treatments: Results by name, each of the same shape, in the same order of seeds.
        larger_is_better: True for accuracy and the like, False for errors and losses.
        alpha: Level over all comparisons together, in (0, 1).
        test_train_ratio: As for :func:`compare`.
        baseline_name: Name of the baseline in the sentences.
        metric: Name of the metric in the sentences.
        seed: As for :func:`compare`.

    Returns:
        One comparison a name, in the order given. Verdicts follow ``p_adjusted``; intervals and ``mde`` are at
        the level at which Holm's procedure decided that row.

    Raises:
        DataError: As for :func:`compare`.
    """
    return compare_pairs(
        {name: (baseline, treatment) for name, treatment in treatments.items()},
        larger_is_better=larger_is_better,
        alpha=alpha,
        test_train_ratio=test_train_ratio,
        baseline_name=baseline_name,
        metric=metric,
        seed=seed,
    )


def compare_pairs(
    pairs: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    larger_is_better: bool = False,
    alpha: float = 0.05,
    test_train_ratio: float | None = None,
    baseline_name: str = "baseline",
    metric: str = "the metric",
    seed: int | None = None,
) -> dict[str, Comparison]:
    """Decide a family of comparisons where each has its own seeds, as when diverged ones were left out.

    Args:
        pairs: ``(baseline, treatment)`` by name; lengths may differ between names, not within a pair.
        larger_is_better: As for :func:`compare_many`, like all that follow.
        alpha: Level over all comparisons together.
        test_train_ratio: Test part over training part, for a split a seed.
        baseline_name: Name of the baseline in the sentences.
        metric: Name of the metric in the sentences.
        seed: Seed of the bootstrap and of a sampled sign-flip test.

    Raises:
        DataError: As for :func:`compare`.
    """
    check_alpha(alpha)
    ratio = check_ratio(test_train_ratio)
    checked = {name: check_paired(*columns) for name, columns in pairs.items()}
    tests = {name: paired_t(*columns, ratio) for name, columns in checked.items()}
    adjusted, levels = holm([float(test.p) for test in tests.values()], alpha)
    return {
        name: _describe(
            *checked[name],
            tests[name],
            p_adjusted=float(p),
            level=float(level),
            alpha=alpha,
            family=len(checked),
            larger_is_better=larger_is_better,
            test_train_ratio=test_train_ratio,
            names=(baseline_name, name),
            metric=metric,
            seed=seed,
        )
        for name, p, level in zip(checked, adjusted, levels, strict=True)
    }


def _describe(
    a: Floats,
    b: Floats,
    test: PairedT,
    *,
    p_adjusted: float,
    level: float,
    alpha: float,
    family: int,
    larger_is_better: bool,
    test_train_ratio: float | None,
    names: tuple[str, str],
    metric: str,
    seed: int | None,
) -> Comparison:
    n, difference, sd, spread = test.n, float(test.difference), float(test.sd), not test.constant
    degenerate = bool(test.constant and difference != 0.0)
    low, high = interval(test, level)
    verdict: Verdict = "no difference"
    if p_adjusted < alpha:
        verdict = "helped" if (difference > 0.0) == larger_is_better else "hurt"
    nan = float("nan")
    sd_low, sd_high = sd_interval(sd, n, alpha) if spread else (nan, nan)
    least = mde(sd, n, level, test_train_ratio=test_train_ratio) if spread else nan
    independent = test_train_ratio is None
    return Comparison(
        n=n,
        baseline_mean=float(a.mean()),
        treatment_mean=float(b.mean()),
        difference=difference,
        low=float(low),
        high=float(high),
        level=1.0 - level,
        sd=sd,
        sd_low=sd_low,
        sd_high=sd_high,
        p=float(test.p),
        p_adjusted=p_adjusted,
        p_permutation=(
            sign_flip_p(b - a, tolerance=n * float(rounding(a, b)), seed=seed) if independent else nan
        ),
        min_p=2.0 ** (1 - n),
        bca=bca_interval(b - a, level, seed=seed) if independent and spread else (nan, nan),
        mde=least,
        mde_low=least * (sd_low / sd) if spread else nan,
        mde_high=least * (sd_high / sd) if spread else nan,
        alpha=alpha,
        family=family,
        larger_is_better=larger_is_better,
        test_train_ratio=test_train_ratio,
        degenerate=degenerate,
        verdict=verdict,
        warnings=_warnings(n, alpha, degenerate, independent),
        baseline=names[0],
        treatment=names[1],
        metric=metric,
    )


def _warnings(n: int, alpha: float, degenerate: bool, independent: bool) -> tuple[str, ...]:
    found = []
    least = 2.0 ** (1 - n)
    if n < 6 or least >= alpha:
        found.append(
            f"{n} pairs: the exact sign-flip p cannot be below {least:.3g}, so it cannot reach "
            f"{min(alpha, 0.05):g}; run more seeds"
        )
    if degenerate:
        judge = "judged by the sign-flip p" if independent else "no test applies, so p is 1"
        found.append(f"degenerate: the difference is the same in all {n} pairs, so it has no spread; {judge}")
    if not independent:
        found.append("overlapping splits: sign-flip p and bootstrap interval do not apply and are left out")
    return tuple(found)
