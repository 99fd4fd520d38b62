import numpy as np
import pytest

from dropkit.core import DataError
from dropkit.stats import aurc, risk_coverage


def test_a_small_case_by_hand():
    curve = risk_coverage([0.1, 0.4, 0.4, 0.9], [0, 1, 0, 1])
    assert curve.coverage.tolist() == [0.25, 0.75, 1.0]
    assert curve.risk.tolist() == [0.0, pytest.approx(1 / 3), 0.5]
    assert curve.threshold.tolist() == [0.1, 0.4, 0.9]
    assert aurc([0.1, 0.4, 0.4, 0.9], [0, 1, 0, 1]) == pytest.approx((0 + 0.5 / 2 + 1 / 3 + 2 / 4) / 4)


def test_the_order_of_the_data_does_not_matter_and_knowing_is_better(numbers):
    loss = (numbers.random(300) < 0.3).astype(float)
    known = loss + numbers.normal(size=300) * 0.3
    order = numbers.permutation(300)
    rounded = known.round(1)  # with ties
    assert aurc(rounded[order], loss[order]) == pytest.approx(aurc(rounded, loss), rel=1e-12)
    assert aurc(known, loss) < loss.mean() < aurc(-known, loss)
    assert aurc(np.zeros(300), loss) == pytest.approx(loss.mean())
    assert risk_coverage(known, loss).risk[-1] == pytest.approx(loss.mean())


def test_best_and_worst_order(numbers):
    loss = np.repeat([0.0, 1.0], [30, 10])
    assert aurc(loss, loss) == pytest.approx(sum(k / (30 + k) for k in range(1, 11)) / 40)


def test_bad_input():
    with pytest.raises(DataError, match=r"got \(2,\) and \(3,\)"):
        aurc([1, 2], [0, 1, 0])
    with pytest.raises(DataError, match="finite"):
        risk_coverage([np.nan], [0])
