"""Every kind of array that people have is taken, and every bad one is named."""

import numpy as np
import pytest
import torch

from dropkit import stats
from dropkit.core import DataError
from dropkit.stats.inputs import as_array, as_floats

CLASSIFICATION = [
    stats.classification_metrics,
    stats.per_class,
    stats.expected_calibration_error,
    stats.classwise_calibration_error,
    stats.brier,
    stats.reliability,
]
PAIRS = {
    "choose_threshold": lambda s, y: stats.choose_threshold(s, y, false_negative=3.0),
    "recall_at_precision": lambda s, y: stats.recall_at_precision(s, y, 0.5),
    "expected_cost": lambda s, y: stats.expected_cost(s, y, 0.5, false_negative=3.0),
    "rare_event_intervals": lambda s, y: stats.rare_event_intervals(
        s, y, threshold=0.5, false_negative=3.0, resamples=9
    ),
    "risk_coverage": stats.risk_coverage,
    "aurc": stats.aurc,
    "choose_abstention": lambda u, loss: stats.choose_abstention(u, loss, price=0.3),
    "detection": stats.detection,
    "average_precision": stats.average_precision,
    "detection_interval": lambda p, n: stats.detection_interval(p, n, resamples=9),
}
KINDS = {
    "list": lambda x: x.tolist(),
    "float32": lambda x: x.astype(np.float32) if x.dtype == float else x.astype(np.int32),
    "float16": lambda x: x.astype(np.float16) if x.dtype == float else x.astype(np.uint8),
    "bfloat16": lambda x: torch.from_numpy(x).bfloat16() if x.dtype == float else torch.from_numpy(x),
    "graph": lambda x: torch.from_numpy(x).requires_grad_() if x.dtype == float else torch.from_numpy(x),
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", CLASSIFICATION)
def test_probabilities_of_any_kind(kind, measure, numbers):
    p, y = (
        numbers.multinomial(8, np.full(3, 1 / 3), 40) / 8,
        numbers.integers(3, size=40),
    )  # exact in any precision
    np.testing.assert_equal(measure(KINDS[kind](p), KINDS[kind](y)), measure(p, y))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PAIRS)
def test_scores_of_any_kind(kind, name, numbers):
    scores, labels = numbers.integers(0, 9, size=40) / 8, numbers.integers(2, size=40)
    labels[:2] = [0, 1]
    np.testing.assert_equal(
        PAIRS[name](KINDS[kind](scores), KINDS[kind](labels)), PAIRS[name](scores, labels)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_a_softmax_in_half_precision_sums_to_one(dtype, classes, rng):
    p = (5 * torch.randn(200, classes, generator=rng)).softmax(-1)
    y = p.argmax(-1)
    found = stats.classification_metrics(p.to(dtype), y)
    exact = stats.classification_metrics(p, y)
    assert found["nll"] == pytest.approx(exact["nll"], rel=0.02, abs=0.02)
    if classes > 2 and dtype == torch.bfloat16:  # rounded, and said to be float32
        with pytest.raises(DataError, match="divide by the sums, or apply softmax in float32"):
            stats.classification_metrics(p.to(dtype).float(), y)
    with pytest.raises(DataError, match="apply softmax first"):
        stats.brier(p.to(dtype) * 2, y)


@pytest.mark.parametrize("measure", CLASSIFICATION)
@pytest.mark.parametrize(
    ("p", "text"),
    [
        ([[np.nan, 1.0]], "finite, got 1 NaN"),
        ([[np.inf, 0.0]], "finite"),
        ([0.5], "of an event with probability p give two columns"),
        ([[1.0, 0.0], [0.2]], "must be an array"),
        ([[0.5 + 0.5j, 0.5 - 0.5j]], "real numbers, got complex128"),
        ([["a", "b"]], "array of real numbers"),
    ],
)
def test_what_are_no_probabilities_is_said_in_one_line(measure, p, text):
    with pytest.raises(DataError, match=text) as caught:
        measure(p, [0])
    assert "\n" not in str(caught.value)


def test_one_case_and_one_kind_of_case(numbers):
    for y in (0, 1):
        for p in ([[1.0, 0.0]], [[0.5, 0.5]]):
            for measure in CLASSIFICATION:
                measure(p, [y])
    assert stats.expected_calibration_error([[1.0, 0.0]], [1]) == 1.0
    assert stats.classwise_calibration_error([[1.0, 0.0]], [1]) == 1.0
    assert stats.aurc([0.3], [1.0]) == 1.0
    assert stats.detection([1.0], [1.0]) == (0.5, 0.5, 1.0)
    for name in ("choose_threshold", "recall_at_precision", "expected_cost", "rare_event_intervals"):
        with pytest.raises(DataError, match="no positive case"):
            PAIRS[name](numbers.random(5), np.zeros(5, int))
    assert stats.recall_at_precision([0.2, 0.4], [1, 1], 1.0) == 1.0


def test_arrays_are_not_copied_without_need():
    x = np.zeros(3)
    assert as_floats(x, "x") is x
    assert as_array(x, "x") is x
    with pytest.raises(DataError, match="threshold must be a number or infinite, got nan"):
        stats.expected_cost([0.1, 0.2], [0, 1], np.nan, false_negative=1.0)
    with pytest.raises(DataError, match="threshold must be a number or infinite, got nan"):
        stats.abstention_cost([0.1], [0.0], np.nan, price=1.0)
