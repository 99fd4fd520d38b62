"""DropEdge as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_edge
from dropkit.ops.rate import Rate


class DropEdge(RateModule):
    """Module form of :func:`dropkit.ops.drop_edge`.

    Args:
        rate: Probability of removing an edge, in ``[0, 1]``.
        undirected: Whether an edge and its reverse share one coin.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate, undirected: bool = False, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        self.undirected = undirected

    def forward(self, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Return the edges left of ``edge_index``, shape ``(2, E)``, with their attributes where these are given."""
        if edge_attr is None:
            return drop_edge(
                edge_index, self.rate, undirected=self.undirected, training=self.training, site=self.site
            )
        return drop_edge(
            edge_index,
            self.rate,
            edge_attr,
            undirected=self.undirected,
            training=self.training,
            site=self.site,
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + (", undirected=True" if self.undirected else "")


def _example() -> tuple[DropEdge, tuple[Tensor, Tensor]]:
    nodes = torch.arange(12)
    edges = torch.stack((nodes, nodes.roll(1)))
    return DropEdge(0.5), (edges, torch.linspace(0.5, 2.0, 12))


register(
    Variant(
        name="drop_edge",
        family="graphs",
        kind="op",
        op=drop_edge,
        module=DropEdge,
        paper='Rong et al., "DropEdge: Towards Deep Graph Convolutional Networks on Node Classification", ICLR 2020, '
        "arXiv:1907.10903",
        year=2020,
        law="each edge is removed with probability rate; nothing is rescaled",
        at=(),
        default_rate=0.2,
        samples=True,
        example=_example,
    )
)
