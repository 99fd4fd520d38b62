"""Classification metrics against scikit-learn, against hand-made cases, and on bad input."""

import numpy as np
import pytest
from sklearn import metrics as sk

from dropkit.core import DataError
from dropkit.stats import LARGER_IS_BETTER, classification_metrics, per_class


def sample(numbers, n, classes, *, absent=()):
    probabilities = numbers.dirichlet(np.full(classes, 0.3), n)
    keep = [c for c in range(classes) if c not in absent]
    labels = numbers.choice(keep, n)
    probabilities[:, list(absent)] = 0.0
    return probabilities / probabilities.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize(
    ("n", "classes", "absent"), [(500, 10, ()), (300, 2, ()), (40, 7, (2, 6)), (1, 3, ())]
)
def test_agrees_with_scikit_learn(n, classes, absent, numbers):
    p, y = sample(numbers, n, classes, absent=absent)
    predicted, every = p.argmax(axis=1), list(range(classes))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        y, predicted, average="macro", zero_division=0
    )
    expected = {
        "accuracy": sk.accuracy_score(y, predicted),
        "error": 1 - sk.accuracy_score(y, predicted),
        "nll": sk.log_loss(y, p, labels=every),
        "brier": sk.brier_score_loss(y, p, labels=every, scale_by_half=False),
        "macro_precision": precision,
        "macro_recall": recall,
        "macro_f1": f1,
    }
    found = classification_metrics(p, y)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12, abs=1e-12)
    rows = sk.precision_recall_fscore_support(y, predicted, labels=every, zero_division=0)
    for name, row in zip(("precision", "recall", "f1"), rows, strict=False):
        np.testing.assert_allclose(per_class(p, y)[name], row, rtol=1e-12, atol=1e-12)


def test_a_class_never_seen_nor_predicted_scores_zero_and_does_not_count(numbers):
    p, y = sample(numbers, 200, 4, absent=(1,))
    table = per_class(p, y)
    assert [table[name][1] for name in table] == [0.0, 0.0, 0.0]
    seen = [table["recall"][c] for c in (0, 2, 3)]
    assert classification_metrics(p, y)["macro_recall"] == pytest.approx(np.mean(seen), rel=1e-12)


def test_a_class_predicted_but_never_true_counts_as_zero():
    p = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1]])
    found = classification_metrics(p, [0, 0])
    assert found["macro_precision"] == 0.5
    assert found["macro_recall"] == 0.25
    assert found["macro_f1"] == pytest.approx(1 / 3, rel=1e-15)


def test_brier_is_the_sum_over_all_classes():
    assert classification_metrics([[0.0, 1.0]], [0])["brier"] == 2.0
    assert classification_metrics([[0.6, 0.3, 0.1]], [0])["brier"] == pytest.approx(0.16 + 0.09 + 0.01)


def test_nll_of_a_certain_mistake_is_finite():
    found = classification_metrics([[0.0, 1.0]], [0])["nll"]
    assert found == pytest.approx(-np.log(np.finfo(np.float64).eps), rel=1e-15)


def test_perfect_prediction():
    found = classification_metrics(np.eye(3), [0, 1, 2])
    assert found == pytest.approx({name: 1.0 if LARGER_IS_BETTER[name] else 0.0 for name in found}, abs=1e-15)


def test_input_is_not_modified_and_float32_is_accepted(numbers):
    p, y = sample(numbers, 50, 3)
    p = p.astype(np.float32)
    before = p.copy()
    classification_metrics(p, y)
    np.testing.assert_array_equal(p, before)


GOOD = np.array([[0.2, 0.8], [0.5, 0.5]])
BAD = [
    (np.array([[np.nan, 1.0], [0.5, 0.5]]), [0, 1], r"finite, got 1 NaN"),
    (GOOD, [0, 2], r"labels must be in 0 \.\. 1, got 0 to 2"),
    (GOOD, [-1, 0], r"labels must be in 0 \.\. 1, got -1 to 0"),
    (GOOD, [0, 1, 1], r"shape \(2,\)"),
    (GOOD, [[0], [1]], r"shape \(2,\)"),
    (GOOD, [0.0, 1.0], r"labels must be integers"),
    (GOOD, [True, False], r"labels must be integers, got bool"),
    (GOOD[0], [0, 1], r"shape \(N, C\)"),
    (GOOD[:, :1], [0, 0], r"shape \(N, C\)"),
    (GOOD[:0], [], r"shape \(N, C\)"),
    (np.array([[0.5, 0.5], [0.2, 0.9]]), [0, 1], r"row 1 sums to 1\.1"),
    (np.array([[1.5, -0.5], [0.5, 0.5]]), [0, 1], r"in \[0, 1\], got -0\.5 to 1\.5"),
    (np.array([[1.00005, -0.00005], [0.5, 0.5]]), [0, 1], r"in \[0, 1\], got -5e-05 to 1\.00005"),
    ([["a", "b"]], [0], r"array of real numbers"),
]


@pytest.mark.parametrize("score", [classification_metrics, per_class])
@pytest.mark.parametrize(("p", "y", "text"), BAD)
def test_bad_input_is_named_in_one_line(score, p, y, text):
    with pytest.raises(DataError, match=text) as caught:
        score(p, y)
    assert "\n" not in str(caught.value)
