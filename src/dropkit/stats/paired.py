"""Did the treatment help? Two columns of results, paired by seed, and one verdict."""

import numpy.typing as npt

from dropkit.stats.comparison import Comparison
from dropkit.stats.multiple import compare_pairs


def compare(
    baseline: npt.ArrayLike,
    treatment: npt.ArrayLike,
    *,
    larger_is_better: bool = False,
    alpha: float = 0.05,
    test_train_ratio: float | None = None,
    names: tuple[str, str] = ("baseline", "treatment"),
    metric: str = "the metric",
    seed: int | None = None,
) -> Comparison:
    """Compare paired results: entry ``i`` of both arrays comes from seed ``i``.

    The verdict is the paired t-test's: ``p < alpha``, and the sign of the mean difference says which way.
    Beside it stand an exact sign-flip p, which assumes no normality, and a bootstrap interval, which decides
    nothing. Equal non-zero differences are flagged ``degenerate`` and judged by the sign-flip p instead, as an
    sd of 0 would make any t infinite; then the interval is that one value if ``p < alpha`` and the whole line
    otherwise. If all differences are 0 up to rounding, ``p = 1`` and the verdict is "no difference".

    Args:
        baseline: Finite results, shape ``(n,)``, ``n >= 2``.
        treatment: The same shape, in the same order of seeds.
        larger_is_better: True for accuracy and the like, False for errors and losses.
        alpha: Level of the decision and 1 - coverage of the interval, in (0, 1).
        test_train_ratio: Size of the test part over that of the training part, where each seed has its own
            random split of one data set. The differences are then dependent, and the corrected resampled t of
            Nadeau and Bengio is used; no sign-flip p and no bootstrap interval are given.
        names: Names of baseline and treatment in the sentence.
        metric: Name of the metric in the sentence.
        seed: Seed of the bootstrap, and of the sign-flip test beyond 40 pairs. Default: ``n``.

    Raises:
        DataError: (a ValueError) Unequal lengths, NaN or infinite values, ``n < 2``, an ``alpha`` or ratio out
            of range.

    Reference:
        Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003).
    """
    return compare_pairs(
        {names[1]: (baseline, treatment)},
        larger_is_better=larger_is_better,
        alpha=alpha,
        test_train_ratio=test_train_ratio,
        baseline_name=names[0],
        metric=metric,
        seed=seed,
    )[names[1]]
