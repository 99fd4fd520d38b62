"""Laws of dropkit.ops.drop_edge."""

import pytest
import torch

from dropkit.core import DtypeError, RateError, ShapeError
from dropkit.ops import drop_edge
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


def graph(rng, edges, nodes=500):
    return torch.randint(nodes, (2, edges), generator=rng)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_edges_are_left_out_in_place_with_their_attributes(dtype, seed, rng):
    edges, attributes = graph(rng, 1000).to(dtype), torch.arange(3000).view(1000, 3)
    with stream(seed):
        left, kept_attributes = drop_edge(edges, 0.4, attributes, training=True, site="a")
    kept = torch.from_numpy(mask(1000, 0.4, seed=seed, site="a"))
    assert left.dtype is dtype
    assert torch.equal(left, edges[:, kept])
    assert torch.equal(kept_attributes, attributes[kept])
    with stream(seed):
        assert torch.equal(drop_edge(edges, 0.4, training=True, site="a"), left)
    assert 0 < kept.sum() < 1000


def test_frequency_and_independence_over_edges(rng):
    number = torch.arange(100_000)
    _, kept = drop_edge(graph(rng, 100_000), 0.3, number, training=True, generator=rng)
    dropped = torch.ones(100_000, dtype=torch.bool)
    dropped[kept] = False
    assert_frequency(dropped, 0.3)
    assert_independent(dropped[1:], dropped[:-1], 0.3)


def test_of_an_undirected_graph_both_directions_go_together(rng):
    one_way = graph(rng, 20_000, nodes=10_000).unique(dim=1)
    one_way = one_way[:, one_way[0] < one_way[1]]
    n = one_way.shape[1]
    both = torch.cat((one_way, one_way.flip(0)), 1)[:, torch.randperm(2 * n, generator=rng)]
    number = torch.arange(2 * n)
    left, kept = drop_edge(both, 0.3, number, undirected=True, training=True, generator=rng)

    def pairs(edges):
        return set(map(tuple, edges.T.tolist()))

    assert pairs(left) == pairs(left.flip(0))
    alive = torch.zeros(2 * n, dtype=torch.bool)
    alive[kept] = True
    forward = alive[both[0] < both[1]]
    assert_frequency(~forward, 0.3)
    directed = drop_edge(both, 0.3, training=True, generator=rng)
    assert pairs(directed) != pairs(directed.flip(0))


def test_edges(rng):
    edges, weights = graph(rng, 50), torch.ones(50)
    assert drop_edge(edges, 0.5, training=False) is edges
    same = drop_edge(edges, 0.5, weights, training=False)
    assert same[0] is edges
    assert same[1] is weights
    assert torch.equal(drop_edge(edges, 0.0, training=True), edges)
    assert drop_edge(edges, 1.0, training=True).shape == (2, 0)
    assert drop_edge(edges[:, :0], 0.5, training=True, undirected=True).shape == (2, 0)
    per_edge = torch.cat((torch.zeros(20), torch.ones(30)))
    assert torch.equal(drop_edge(edges, per_edge, training=True), edges[:, :20])


def test_what_is_no_graph_is_refused(rng):
    with pytest.raises(ShapeError, match=r"drop_edge needs an edge_index of shape \(2, E\), got \(3, 4\)"):
        drop_edge(torch.ones(3, 4).long(), 0.5, training=True)
    with pytest.raises(
        DtypeError, match=r"drop_edge needs an edge_index of int64 or int32, got torch\.float32"
    ):
        drop_edge(torch.ones(2, 4), 0.5, training=True)
    with pytest.raises(ShapeError, match=r"drop_edge needs edge_attr of 4 edges, got \(5, 1\)"):
        drop_edge(torch.ones(2, 4).long(), 0.5, torch.ones(5, 1), training=False)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got 1.5"):
        drop_edge(torch.ones(2, 4).long(), 1.5, training=False)
