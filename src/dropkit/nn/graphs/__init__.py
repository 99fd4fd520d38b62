"""Dropping in graphs as modules."""

from dropkit.nn.graphs.drop_edge import DropEdge
from dropkit.nn.graphs.drop_message import DropMessage
from dropkit.nn.graphs.drop_node import DropNode

__all__ = [
    "DropEdge",
    "DropMessage",
    "DropNode",
]
