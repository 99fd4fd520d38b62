"""Laws of dropkit.ops.drop_message."""

import pytest
import torch

from dropkit.core import DtypeError, ShapeError
from dropkit.ops import drop_message
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


def test_each_feature_of_each_message_has_its_own_coin(seed, rng):
    x = torch.rand(20, 6, generator=rng) + 0.1
    edges = torch.randint(20, (2, 300), generator=rng)
    with stream(seed):
        y = drop_message(x, 0.4, edges, training=True, site="a")
    kept = torch.from_numpy(mask((300, 6), 0.4, seed=seed, site="a"))
    assert torch.equal(y, torch.where(kept, x[edges[0]] * (1 / (1 - 0.4)), 0.0))


def test_messages_of_one_node_and_features_of_one_message_are_independent(rng):
    edges = torch.zeros(2, 50_000, dtype=torch.int64)
    dropped = drop_message(torch.ones(1, 2), 0.3, edges, training=True, generator=rng) == 0
    assert_frequency(dropped, 0.3)
    assert_independent(dropped[1:, 0], dropped[:-1, 0], 0.3)
    assert_independent(dropped[:, 0], dropped[:, 1], 0.3)


def test_the_sum_over_neighbours_keeps_its_mean_and_its_gradient(seed):
    x = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    edges = torch.tensor([[0, 1, 2, 0], [1, 2, 3, 3]])
    with stream(seed):
        y = drop_message(x, 0.5, edges, training=True)
    y.sum().backward()
    expected = torch.zeros(4, 3, dtype=torch.float64).index_add(0, edges[0], (y / x[edges[0]]).detach())
    torch.testing.assert_close(x.grad, expected)


def test_outside_training_the_messages_are_whole(rng):
    x, edges = torch.rand(5, 2, generator=rng), torch.tensor([[0, 4], [1, 1]])
    assert torch.equal(drop_message(x, 0.5, edges, training=False), x[[0, 4]])
    assert torch.equal(drop_message(x, 0.0, edges, training=True), x[[0, 4]])
    assert drop_message(x, 0.5, edges[:, :0], training=True).shape == (0, 2)


def test_what_is_no_graph_is_refused():
    x = torch.ones(3, 2)
    with pytest.raises(ShapeError, match=r"drop_message needs an edge_index of shape \(2, E\), got \(2,\)"):
        drop_message(x, 0.5, torch.tensor([0, 1]), training=True)
    with pytest.raises(
        DtypeError, match=r"drop_message needs an edge_index of int64 or int32, got torch\.bool"
    ):
        drop_message(x, 0.5, torch.ones(2, 2, dtype=torch.bool), training=True)
    with pytest.raises(ShapeError, match=r"drop_message needs features of shape \(V, \*\), got a 0-d tensor"):
        drop_message(torch.tensor(1.0), 0.5, torch.zeros(2, 1).long(), training=True)
