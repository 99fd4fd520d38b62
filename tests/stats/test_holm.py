"""Holm's correction and the levels of the intervals that go with it."""

import numpy as np
import pytest

from dropkit.core import DataError
from dropkit.stats import holm


def step_down(p, alpha):
    """Holm's procedure as he wrote it: who is rejected."""
    rejected = [False] * len(p)
    for step, i in enumerate(np.argsort(p, kind="stable")):
        if p[i] >= alpha / (len(p) - step):
            break
        rejected[i] = True
    return rejected


def test_worked_example():
    adjusted, level = holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(level, [0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4])


def test_a_row_behind_a_failed_one_is_not_decided_at_its_own_rank():
    adjusted, level = holm([0.04, 0.045])  # 0.045 < 0.05 / 1, but the procedure stopped before it
    np.testing.assert_allclose(adjusted, [0.08, 0.08])
    np.testing.assert_allclose(level, [0.025, 0.025])


def test_tied_rows_share_p_and_level():
    adjusted, level = holm([0.01, 0.001, 0.01])
    np.testing.assert_allclose(adjusted, [0.02, 0.003, 0.02])
    np.testing.assert_allclose(level, [0.025, 0.05 / 3, 0.025])


def test_one_p_is_left_alone_and_none_is_allowed():
    assert [float(x[0]) for x in holm([0.3])] == [0.3, 0.05]
    assert [x.size for x in holm([])] == [0, 0]


@pytest.mark.parametrize("m", [2, 3, 6])
def test_rejects_as_the_procedure_does_and_levels_agree(m, numbers):
    p = numbers.uniform(size=(2000, m)) ** 4
    for alpha in (0.05, 0.3):
        adjusted, level = holm(p, alpha)
        expected = np.array([step_down(row, alpha) for row in p])
        assert 0.1 < expected.mean() < 0.9
        np.testing.assert_array_equal(adjusted < alpha, expected)
        np.testing.assert_array_equal(p < level, expected)
        assert (adjusted >= p).all()
        assert (adjusted <= np.minimum(1, m * p)).all()


def test_bad_alpha():
    with pytest.raises(DataError, match="alpha"):
        holm([0.1], 0.0)
