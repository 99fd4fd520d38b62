"""Laws of dropkit.ops.excitation_dropout."""

import pytest
import torch

from dropkit.core import ShapeError
from dropkit.ops import dropout, excitation_dropout
from dropkit.ops.plastic.excitation_dropout import excitation_rates
from dropkit.random import stream
from tests.laws import assert_frequency


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_the_rates_are_those_of_the_paper(rate):
    share = torch.tensor([0.0, 0.05, 0.2, 0.25, 0.5], dtype=torch.float64)
    keep = 1 - rate
    n = 5
    expected = 1 - (1 - (1 - keep) * (n - 1) * share / (((1 - keep) * n - 1) * share + keep))
    got = excitation_rates(rate, share.view(1, 5))
    torch.testing.assert_close(got[0], expected)
    assert (got[0].diff() > 0).all()
    assert got[0, 0] == 0
    assert got[0, 2].item() == pytest.approx(rate)  # at a share of 1/n
    assert torch.equal(got, excitation_rates(rate, 7 * share.view(1, 5)))


def test_all_evidence_on_one_unit_drops_it_surely():
    one = torch.eye(4)[:1]
    for rate in (0.1, 0.5, 1.0):
        assert excitation_rates(rate, one)[0, 0].item() == pytest.approx(1.0)
    assert torch.equal(excitation_rates(0.5, one)[0, 1:], torch.zeros(3, dtype=torch.float64))
    assert torch.equal(excitation_rates(0.0, torch.rand(3, 4)), torch.zeros(3, 4, dtype=torch.float64))


@pytest.mark.parametrize("evidence", [torch.zeros(50, 20), torch.ones(50, 20)])
def test_without_or_with_even_evidence_it_is_dropout(evidence, seed):
    x = torch.linspace(-2, 2, 1000).view(50, 20)
    with stream(seed):
        got = excitation_dropout(x, 0.5, evidence, training=True, site="a")
    with stream(seed):
        torch.testing.assert_close(got, dropout(x, 0.5, training=True, site="a"))
    assert 0 < int((got == 0).sum()) < 1000


def test_units_are_dropped_at_their_rates_and_the_others_scaled_alike(rng):
    rows = 20_000
    evidence = torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(rows, 4)
    x = torch.linspace(1, 2, rows * 4).view(rows, 4)
    y = excitation_dropout(x, 0.4, evidence, training=True, generator=rng)
    rates = excitation_rates(0.4, evidence[:1])[0]
    for unit in range(4):
        assert_frequency(y[:, unit] == 0, rates[unit].item())
    kept = y != 0
    torch.testing.assert_close(y[kept], (x / (1 - rates.float().mean()))[kept])


def test_rate_one_is_finite():
    x = torch.ones(3, 4, requires_grad=True)
    y = excitation_dropout(x, 1.0, torch.rand(3, 4) + 0.1, training=True)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(3, 4))
    assert torch.equal(x.grad, torch.zeros(3, 4))


def test_evidence_of_another_shape_is_refused():
    with pytest.raises(
        ShapeError, match=r"evidence of the shape of its input, \(N, \*\), got \(3,\) for \(3, 4\)"
    ):
        excitation_dropout(torch.ones(3, 4), 0.5, torch.ones(3), training=False)
