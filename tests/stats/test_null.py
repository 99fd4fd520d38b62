"""When nothing differs, how often is a difference claimed? 20,000 simulated studies a case."""

import numpy as np
import pytest
from scipy import stats

from dropkit.stats import compare_many, holm
from dropkit.stats.t_test import paired_t

STUDIES = 20_000
FALSE_ALARM = 1e-6
CEILING = 0.0575  # 4.9 standard errors above 5 %: passed by chance in 1e-6 of runs at a true rate of 5 %


def claims(results, ratio=0.0):
    """Family-wise: was anything claimed in each study? ``results``: (studies, 1 + plans, seeds)."""
    p = paired_t(results[:, :1], results[:, 1:], ratio).p
    return (holm(p)[0] < 0.05).any(axis=-1)


def null_results(numbers, plans, seeds, step):
    """Test errors of plans that do not differ: about 20 of 797 wrong, and whole numbers if ``step``."""
    wrong = numbers.normal(20, 2.5, (STUDIES, 1 + plans, seeds))
    return (np.round(wrong) if step else wrong) / 797


@pytest.mark.parametrize("plans", [1, 2, 5])
@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("step", [False, True], ids=["normal", "discretised"])
def test_false_verdicts_in_a_family_are_rare(plans, seeds, step, numbers):
    assert claims(null_results(numbers, plans, seeds, step)).mean() <= CEILING


@pytest.mark.parametrize("seeds", [2, 5, 10])
def test_the_level_of_one_comparison_is_exact(seeds, numbers):
    hits = int(claims(null_results(numbers, 1, seeds, step=False)).sum())
    assert stats.binomtest(hits, STUDIES, 0.05).pvalue > FALSE_ALARM


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_results_on_a_very_coarse_grid_do_not_make_false_verdicts(seeds, numbers):
    # Half a step of spread: equal differences are common, and p = 0 for them would be a disaster.
    results = np.round(numbers.normal(20, 0.5, (STUDIES, 2, seeds))) / 797
    assert paired_t(results[:, 0], results[:, 1]).constant.any()
    assert claims(results).mean() <= CEILING


def test_without_the_correction_five_plans_claim_too_much(numbers):
    results = null_results(numbers, 5, 10, step=False)
    uncorrected = (paired_t(results[:, :1], results[:, 1:]).p < 0.05).any(axis=-1)
    assert uncorrected.mean() > 0.12  # else the checks above prove nothing


def test_the_public_function_gives_the_simulated_p(numbers):
    for results in null_results(numbers, 5, 10, step=True)[:20]:
        adjusted, _ = holm(paired_t(results[:1], results[1:]).p)
        rows = compare_many(results[0], {str(k): row for k, row in enumerate(results[1:])})
        assert [row.p_adjusted for row in rows.values()] == pytest.approx(adjusted.tolist(), rel=1e-12)


def test_correlated_splits_keep_their_level_only_when_corrected(numbers):
    ratio, seeds = 0.25, 10
    rho = ratio / (1 + ratio)
    shared, own = numbers.normal(size=(STUDIES, 2, 1)), numbers.normal(size=(STUDIES, 2, seeds))
    results = np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    assert claims(results).mean() > 0.2
    hits = int(claims(results, ratio).sum())
    assert stats.binomtest(hits, STUDIES, 0.05).pvalue > FALSE_ALARM


def test_real_resplits_of_one_data_set_keep_their_level_only_when_corrected(numbers):
    # Each study: 100 examples with two features, 10 random splits 80 / 20. Each "plan" predicts its feature by
    # the training mean and is scored by squared error. The features have one law, so nothing differs.
    studies, seeds, size, test = 2_000, 10, 100, 20
    features = numbers.normal(size=(studies, 2, 1, size))
    order = numbers.random((studies, 1, seeds, size)).argsort(axis=-1)
    shuffled = np.take_along_axis(features, order, axis=-1)
    held_out, train = shuffled[..., :test], shuffled[..., test:]
    results = np.square(held_out - train.mean(axis=-1, keepdims=True)).mean(axis=-1)
    plain, corrected = claims(results), claims(results, test / (size - test))
    assert plain.mean() > 0.15
    # The correction is a heuristic for real splits: the level is near 5 %, not exactly that.
    assert stats.binomtest(int(corrected.sum()), studies, 0.055, alternative="greater").pvalue > FALSE_ALARM
