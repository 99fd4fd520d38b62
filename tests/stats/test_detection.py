import numpy as np
import pytest
from sklearn import metrics

from dropkit.core import DataError
from dropkit.stats import average_precision, detection, detection_interval


@pytest.mark.parametrize("decimals", [1, 9])
def test_it_is_what_scikit_learn_says(decimals, numbers):
    positive, negative = numbers.normal(0.7, 1, 80).round(decimals), numbers.normal(0, 1, 200).round(decimals)
    scores, labels = np.concatenate((positive, negative)), np.repeat([1, 0], [80, 200])
    found = detection(positive, negative)
    assert found.auroc == pytest.approx(metrics.roc_auc_score(labels, scores), rel=1e-12)
    assert found.aupr == pytest.approx(metrics.average_precision_score(labels, scores), rel=1e-12)
    assert found.aupr == average_precision(positive, negative)
    best = min((negative >= t).mean() for t in scores if (positive >= t).mean() >= 0.95)
    assert found.fpr95 == pytest.approx(best)


def test_perfect_and_useless():
    assert detection([2.0, 3.0], [0.0, 1.0]) == (1.0, 1.0, 0.0)
    assert detection([0.0, 0.0], [0.0, 0.0, 0.0]) == (0.5, pytest.approx(0.4), 1.0)


def test_the_interval_covers_what_it_should(numbers):
    # A normal shift of 1 has AUROC Phi(1 / sqrt 2) = 0.7602; of 60 intervals of nominally 90 %, at least 84 %
    from scipy.stats import binom, norm

    truth, hits = norm.cdf(1 / np.sqrt(2)), 0
    for _ in range(60):
        low, high = detection_interval(
            numbers.normal(1, 1, 60), numbers.normal(0, 1, 60), alpha=0.1, resamples=149
        )["auroc"]
        hits += low <= truth <= high
    assert hits >= binom.ppf(1e-6, 60, 0.84)


def test_the_interval_is_reproducible():
    a, b = [0.3, 0.9, 0.7], [0.1, 0.5, 0.2, 0.8]
    assert detection_interval(a, b, resamples=50) == detection_interval(a, b, resamples=50)
    assert detection_interval(a, b, resamples=50) != detection_interval(a, b, resamples=50, seed=1)


def test_bad_input():
    with pytest.raises(DataError, match=r"positive must be scores of shape \(N,\)"):
        detection([], [1.0])
    for resamples in (0, 1, 2.5):
        with pytest.raises(DataError, match="resamples must be a whole number of at least 2"):
            detection_interval([1.0], [0.0], resamples=resamples)
