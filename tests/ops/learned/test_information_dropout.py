"""Laws of dropkit.ops.information_dropout."""

import pytest
import torch
from scipy import stats

from dropkit.core import DtypeError, OptionError
from dropkit.ops import information_dropout
from dropkit.random import stream
from tests.laws import FALSE_ALARM


@pytest.mark.parametrize("alpha", [0.1, 0.7])
def test_the_logarithm_of_the_factor_is_normal_with_deviation_alpha(alpha, rng):
    y = information_dropout(
        torch.full((200_000,), 3.0, dtype=torch.float64), alpha, training=True, generator=rng
    )
    assert stats.kstest((y / 3).log() / alpha, "norm").pvalue > FALSE_ALARM


def test_every_unit_may_have_its_own_alpha(seed):
    x, alpha = torch.full((1000, 3), 2.0), torch.tensor([0.0, 0.3, 0.6])
    with stream(seed):
        y = information_dropout(x, alpha, training=True, site="a")
    with stream(seed):
        single = information_dropout(x, 1.0, training=True, site="a")
    assert torch.equal(y[:, 0], x[:, 0])
    torch.testing.assert_close((y / 2).log(), (single / 2).log() * alpha, rtol=1e-4, atol=1e-5)


def test_gradients_reach_alpha(seed):
    alpha = torch.full((40,), 0.4, dtype=torch.float64, requires_grad=True)
    x = torch.linspace(0.5, 2, 40, dtype=torch.float64)

    def output(alpha):
        with stream(seed):
            return information_dropout(x, alpha, training=True)

    assert torch.autograd.gradcheck(output, alpha)
    assert output(alpha).std() > 0


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), torch.tensor([0.1, -0.2])])
def test_a_negative_deviation_is_refused(alpha):
    with pytest.raises(OptionError, match="alpha must be at least 0, got"):
        information_dropout(torch.ones(2), alpha, training=False)


def test_whole_numbers_are_refused():
    with pytest.raises(DtypeError, match=r"floating-point tensor, got torch\.int64"):
        information_dropout(torch.ones(2).long(), 0.5, training=True)
