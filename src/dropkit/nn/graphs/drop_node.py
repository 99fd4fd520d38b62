"""DropNode as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_node


class DropNode(RateModule):
    """Module form of :func:`dropkit.ops.drop_node`."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to the features ``x`` of all nodes, shape ``(V, *)``."""
        return drop_node(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="drop_node",
        family="graphs",
        kind="op",
        op=drop_node,
        module=DropNode,
        paper='Feng et al., "Graph Random Neural Network for Semi-Supervised Learning on Graphs", NeurIPS 2020, '
        "arXiv:2005.11079",
        year=2020,
        law="all features of a node are 0 with probability rate, else x / (1 - rate); variance x^2 rate / (1 - rate)",
        at=(),
        default_rate=0.5,
        samples=True,
        example=lambda: (DropNode(0.5), torch.ones(24, 4)),
    )
)
