"""Graphs: drop edges, nodes and messages, on plain ``edge_index`` tensors."""

from dropkit.ops.graphs.drop_edge import drop_edge
from dropkit.ops.graphs.drop_message import drop_message
from dropkit.ops.graphs.drop_node import drop_node

__all__ = [
    "drop_edge",
    "drop_message",
    "drop_node",
]
