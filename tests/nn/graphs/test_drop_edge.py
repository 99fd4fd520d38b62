"""The module form of DropEdge."""

import torch

import dropkit as dk


def test_edges_alone_or_with_attributes_in_one_or_both_directions(seed):
    nodes = torch.arange(50)
    edges = torch.stack((nodes, nodes.roll(1)))
    edges = torch.cat((edges, edges.flip(0)), 1)
    attributes = torch.arange(100.0)
    layer = dk.nn.DropEdge(0.5, True, site="a")
    assert repr(layer) == "DropEdge(rate=0.5, site='a', undirected=True)"
    with dk.random.stream(seed):
        left = layer(edges)
    with dk.random.stream(seed):
        same, kept = layer(edges, attributes)
    assert torch.equal(left, same)
    assert torch.equal(edges[:, kept.long()], left)
    assert set(map(tuple, left.T.tolist())) == set(map(tuple, left.flip(0).T.tolist()))
    layer.undirected = False
    assert repr(layer) == "DropEdge(rate=0.5, site='a')"
    with dk.random.stream(seed):
        assert not torch.equal(layer(edges), left)
    assert layer.eval()(edges) is edges
