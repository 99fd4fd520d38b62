"""DropIn as a module: a new layer, whose units come in gradually."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import drop_in
from dropkit.ops.rate import Rate


class DropIn(RateModule):
    """Wrap a new layer that keeps the shape: a unit is that of the layer, or with probability ``rate`` its input's.

    In eval mode it is the mean, ``(1 - rate) * layer(x) + rate * x``. See :func:`dropkit.ops.drop_in`.

    Args:
        layer: The new layer, with outputs of the shape of its inputs.
        rate: Probability that a new unit is still out, in ``[0, 1]``; a schedule from 1 to 0 brings them in.
        site: Name under which an active stream counts its calls.

    Reference:
        Smith, Hand & Doster, "Gradual DropIn of Layers to Train Very Deep Neural Networks", CVPR 2016,
        arXiv:1511.06951.
    """

    def __init__(self, layer: nn.Module, rate: Rate = 0.5, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, as ``layer`` takes it."""
        return drop_in(self.layer(x), self.rate, x, training=self.training, site=self.site)


register(
    Variant(
        name="drop_in",
        family="biologically inspired",
        kind="wrapper",
        op=drop_in,
        module=DropIn,
        paper=(
            'Smith, Hand & Doster, "Gradual DropIn of Layers to Train Very Deep Neural Networks", CVPR 2016, '
            "arXiv:1511.06951"
        ),
        year=2016,
        law="each unit is the new layer's, or its input's with probability rate; mean the mixture, as in eval mode",
        at=("hidden", "conv", "fc"),
        default_rate=0.5,
        samples=True,
        example=lambda: (DropIn(nn.Linear(16, 16)), torch.linspace(-2.0, 2.0, 128).view(8, 16)),
    )
)
