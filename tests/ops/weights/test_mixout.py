"""Laws of dropkit.ops.mixout."""

import itertools

import pytest
import torch

from dropkit.core import OptionError, ShapeError
from dropkit.ops import drop_connect, dropout, mixout
from dropkit.random import stream
from tests.laws import assert_frequency


def pair(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=torch.float64), torch.randn(
        *shape, generator=rng
    ).double()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_each_weight_is_the_pretrained_one_or_the_papers_formula(rate, rng, seed):
    w, u = pair(rng, 40, 50)
    with stream(seed):
        y = mixout(w, rate, target=u, training=True, per="weight", site="w")
    with stream(seed):
        kept = drop_connect(torch.ones_like(w), rate, training=True, site="w") != 0
    assert 0 < int(kept.sum()) < kept.numel()
    assert torch.equal(y[~kept], u[~kept])
    m = kept.double()
    torch.testing.assert_close(y, (m * w + (1 - m) * u - rate * u) / (1 - rate), rtol=1e-12, atol=1e-12)


def test_rate_one_is_the_pretrained_weight_and_rate_zero_the_weight_itself(rng):
    w, u = pair(rng, 6, 7)
    assert torch.equal(mixout(w, 1.0, target=u, training=True), u)
    assert mixout(w, 0.0, target=u, training=True) is w
    assert mixout(w, 0.5, target=u, training=False) is w


@pytest.mark.parametrize("shape", [(5, 200), (5, 200, 3, 2)])
def test_the_weights_out_of_one_input_share_a_coin(shape, rng):
    w, u = pair(rng, *shape)
    replaced = (mixout(w, 0.4, target=u, training=True, generator=rng) == u).transpose(0, 1).flatten(1)
    assert torch.equal(replaced.any(1), replaced.all(1))
    assert 0 < int(replaced.all(1).sum()) < 200


def test_units_fall_back_at_the_rate(rng):
    w, u = torch.ones(2, 100_000), torch.zeros(2, 100_000)
    assert_frequency(mixout(w, 0.3, target=u, training=True, generator=rng)[0] == 0, 0.3)


def test_a_target_of_zero_is_dropout_of_the_input(seed):
    w, v = torch.ones(3, 50), torch.arange(50.0)
    with stream(seed):
        y = mixout(w, 0.4, target=torch.zeros_like(w), training=True, site="a") @ v
    with stream(seed):
        torch.testing.assert_close(y, w @ dropout(v[None], 0.4, training=True, site="a")[0])


def test_a_target_of_zero_is_drop_connect(rng, seed):
    w, _ = pair(rng, 6, 7)
    with stream(seed):
        y = mixout(w, 0.4, target=torch.zeros_like(w), training=True, per="weight", site="a")
    with stream(seed):
        assert torch.equal(y, drop_connect(w, 0.4, training=True, site="a"))


def test_the_mean_over_all_masks_is_the_weight():
    rate, w, u = 0.7, torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([0.25, -1.5, 2.0]).double()
    found = {}
    for step in range(3000):
        with stream(0, step=step):
            y = mixout(w, rate, target=u, training=True)
        found[tuple((y != u).tolist())] = y
    assert set(found) == set(itertools.product([False, True], repeat=3))
    chance = {m: (1 - rate) ** sum(m) * rate ** (3 - sum(m)) for m in found}
    torch.testing.assert_close(sum(chance[m] * y for m, y in found.items()), w)
    spread = sum(chance[m] * (y - w) ** 2 for m, y in found.items())
    torch.testing.assert_close(spread, (w - u) ** 2 * rate / (1 - rate))


def test_frequency_and_gradients(rng):
    w, u = torch.ones(100, 1000, requires_grad=True), torch.zeros(100, 1000, requires_grad=True)
    y = mixout(w, 0.3, target=u, training=True, per="weight", generator=rng)
    assert_frequency(y.detach() == 0, 0.3)
    y.sum().backward()
    assert u.grad is None
    assert torch.equal(w.grad, torch.where(y.detach() == 0, 0.0, torch.tensor(1 / 0.7)))


@pytest.mark.parametrize("training", [True, False])
def test_a_target_of_another_shape_is_refused(training):
    with pytest.raises(ShapeError, match=r"target of shape \(2, 3\), as the weights have, got \(3,\)"):
        mixout(torch.ones(2, 3), 0.5, target=torch.ones(3), training=training)


def test_a_coin_is_for_a_unit_or_a_weight():
    with pytest.raises(OptionError, match="per must be 'unit' or 'weight', got 'layer'"):
        mixout(torch.ones(2, 3), 0.5, target=torch.ones(2, 3), training=True, per="layer")
