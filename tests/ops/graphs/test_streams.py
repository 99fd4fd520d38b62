"""Nodes and edges are no batch: a stream whose samples share masks, or stand somewhere in the data, changes nothing."""

import pytest
import torch

from dropkit import ops
from dropkit.core import StreamError
from dropkit.random import stream

NODES = torch.arange(40)
EDGES = torch.stack((NODES, NODES.roll(1)))
CALLS = {
    "drop_edge": lambda: ops.drop_edge(EDGES, 0.5, training=True, site="a"),
    "drop_edge, undirected": lambda: ops.drop_edge(EDGES, 0.5, undirected=True, training=True, site="a"),
    "drop_node": lambda: ops.drop_node(torch.ones(40, 3), 0.5, training=True, site="a"),
    "drop_message": lambda: ops.drop_message(torch.ones(40, 3), 0.5, EDGES, training=True, site="a"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_graph_has_one_mask_wherever_the_stream_stands(call, seed):
    with stream(seed):
        expected = CALLS[call]()
    for where in (
        {"sample": 7},
        {"sample": torch.arange(3)},
        {"shared_axis": (0, 40)},
        {"shared_axis": (0, 5)},
    ):
        with stream(seed, **where):
            assert torch.equal(CALLS[call](), expected)
    with stream(seed, member=1):
        other = CALLS[call]()
    assert other.shape != expected.shape or not torch.equal(other, expected)


@pytest.mark.parametrize("call", CALLS)
def test_one_member_a_row_is_refused(call, seed):
    with (
        stream(seed, member=torch.arange(40)),
        pytest.raises(StreamError, match="one mask for the whole batch"),
    ):
        CALLS[call]()
