"""DropMessage as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_message


class DropMessage(RateModule):
    """Module form of :func:`dropkit.ops.drop_message`."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return the messages, shape ``(E, *)``, that nodes with features ``x`` send along ``edge_index``."""
        return drop_message(x, self.rate, edge_index, training=self.training, site=self.site)


def _example() -> tuple[DropMessage, tuple[Tensor, Tensor]]:
    nodes = torch.arange(6)
    return DropMessage(0.5), (torch.ones(6, 4), torch.stack((nodes, nodes.roll(1))))


register(
    Variant(
        name="drop_message",
        family="graphs",
        kind="op",
        op=drop_message,
        module=DropMessage,
        paper='Fang et al., "DropMessage: Unifying Random Dropping for Graph Neural Networks", AAAI 2023, '
        "arXiv:2204.10037",
        year=2023,
        law="each feature of each edge's message is 0 with probability rate, else x / (1 - rate); variance "
        "x^2 rate / (1 - rate)",
        at=(),
        default_rate=0.2,
        samples=True,
        example=_example,
    )
)
