"""Drop-Activation as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_activation


class DropActivation(RateModule):
    """Module form of :func:`dropkit.ops.drop_activation`: stands in the place of a ReLU, not after it.

    In eval mode it is a leaky ReLU, so its rate acts then, too.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, of any shape."""
        return drop_activation(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="drop_activation",
        family="unit noise",
        kind="module",
        op=drop_activation,
        module=DropActivation,
        paper='Liang, Khoo and Yang, "Drop-Activation: Implicit Parameter Reduction and Harmonious '
        'Regularization", 2018, '
        "arXiv:1811.05850",
        year=2018,
        law="relu(x), or x itself with probability rate; mean (1 - rate) relu(x) + rate x, also in eval mode; variance "
        "x^2 rate (1 - rate) for negative x, else 0",
        at=(),
        default_rate=0.05,
        samples=True,
        example=lambda: (DropActivation(0.5), torch.linspace(-2.0, 1.0, 128).view(8, 16)),
    )
)
