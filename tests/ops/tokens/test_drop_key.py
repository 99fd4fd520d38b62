"""Laws of dropkit.ops.drop_key. See tests/README.md for the false-alarm budget."""

import pytest
import torch

from dropkit.core import ShapeError
from dropkit.ops import drop_key
from dropkit.random import mask, stream
from tests.laws import assert_frequency

INF = float("inf")


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropped_keys_get_nothing_and_kept_ones_sum_to_one(rate, seed, rng):
    x = torch.randn(4, 2, 6, 30, generator=rng, dtype=torch.float64)
    with stream(seed):
        y = drop_key(x, rate, training=True, site="s")
    kept = torch.from_numpy(mask(x.shape, rate, seed=seed, site="s"))
    assert torch.equal(y[kept], x[kept])
    some = kept.any(-1)
    weights = torch.where(kept, x.exp(), 0.0)
    expected = (weights / weights.sum(-1, keepdim=True))[some]
    p = y.softmax(-1)[some]
    assert (p[~kept[some]] == 0).all()
    assert 0 < (~kept).sum() < kept.numel()
    torch.testing.assert_close(p, expected)
    torch.testing.assert_close(p.sum(-1), torch.ones(len(p), dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_query_without_keys_attends_to_all_alike(dtype):
    x = torch.tensor([[5.0, -3.0, 0.5, 2.0]], dtype=dtype)
    p = drop_key(x, 1.0, training=True).softmax(-1)
    assert torch.equal(p, torch.full((1, 4), 0.25, dtype=dtype))
    x[0, 1] = -INF
    for cast in (torch.float16, torch.bfloat16, torch.float32, torch.float64):  # of the scores
        p = drop_key(x, 1.0, training=True).to(cast).softmax(-1)
        torch.testing.assert_close(p, torch.tensor([[1 / 3, 0.0, 1 / 3, 1 / 3]], dtype=cast))


@pytest.mark.parametrize("forbidden", [-INF, torch.finfo(torch.float32).min])
def test_forbidden_keys_stay_forbidden(forbidden, rng):
    x = torch.zeros(200, 8).masked_fill(torch.arange(8) > 4, forbidden)
    y = drop_key(x, 0.7, training=True, generator=rng)
    assert torch.equal(y == forbidden, x == forbidden)
    p = y.softmax(-1)
    assert (p[:, 5:] == 0).all()
    torch.testing.assert_close(p.sum(-1), torch.ones(200))
    assert (y[:, :5] < 0).all(1).any()  # a query without keys: 0.7 ** 5; none with (1 - 0.17) ** 200


def test_a_dropped_score_is_gone_even_if_it_is_not_a_number():
    x = torch.tensor([[float("nan"), INF, 1.0]])
    assert torch.equal(drop_key(x, 1.0, training=True), torch.full((1, 3), -32768.0))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drop_frequency_matches_rate(rate, rng):
    assert_frequency(drop_key(torch.zeros(300, 300), rate, training=True, generator=rng) < 0, rate)


def test_dropped_scores_have_no_gradient_and_kept_ones_that_of_the_identity(rng):
    x = torch.zeros(50, 50, requires_grad=True)
    y = drop_key(x, 0.5, training=True, generator=rng)
    y.clamp(min=-1).sum().backward()
    assert torch.equal(x.grad, (y == 0).float())


def test_a_vector_is_refused():
    with pytest.raises(ShapeError, match=r"drop_key needs shape \(\*, L, S\), got \(3,\)"):
        drop_key(torch.ones(3), 0.5, training=True)
