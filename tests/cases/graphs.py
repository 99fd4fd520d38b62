"""Case 8: a graph network as PyTorch Geometric writes it: functional dropout, and edges dropped by hand."""

import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded

EDGES = torch.stack([torch.arange(24) % 6, (torch.arange(24) * 5 + 1) % 6])


def dropout_edge(edge_index, p: float = 0.5, training: bool = True):
    """As PyTorch Geometric writes it."""
    if p < 0.0 or p > 1.0:
        raise ValueError(f"Dropout probability has to be between 0 and 1 (got {p}")
    if not training or p == 0.0:
        return edge_index, edge_index.new_ones(edge_index.size(1), dtype=torch.bool)
    row, _ = edge_index
    edge_mask = torch.rand(row.size(0), device=edge_index.device) >= p
    return edge_index[:, edge_mask], edge_mask


class Convolution(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.lin = nn.Linear(inputs, outputs)

    def forward(self, x, edge_index):
        x = self.lin(x)
        return torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])


class GCN(nn.Module):
    def __init__(self, edges=True):
        super().__init__()
        self.conv1, self.conv2, self.edges = Convolution(4, 8), Convolution(8, 3), edges

    def forward(self, x, edge_index):
        if self.edges:
            edge_index, _ = dropout_edge(edge_index, p=0.2, training=self.training)
        x = F.dropout(x, p=0.1, training=self.training)
        x = self.conv1(x, edge_index).relu()
        x = F.dropout(x, p=0.5, training=self.training)
        return self.conv2(x, edge_index)


FUNCTIONAL = {":dropout#0": Planted("dropout", 0.1), ":dropout#1": Planted("dropout", 0.5)}
RULES = (dk.Rule(at=":relu#0"), dk.Rule(at="conv1.lin", on="input"))

CASES = [
    Case("gcn", seeded(lambda: GCN(False)), (ramp(6, 4), EDGES), FUNCTIONAL, RULES, mixes=True),
    Case(
        "gcn-edges",
        seeded(GCN),
        (ramp(6, 4), EDGES),
        {":dropout_edge#0": Planted("dropout_edge", 0.2, False), **FUNCTIONAL},
        RULES,
        refused=r"'\:dropout_edge#0'.*by hand",
    ),
]
