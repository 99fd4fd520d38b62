"""LIMA's layer-dependent dropout: a rate that rises linearly from the first layer to the last."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import OptionError, Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import dropout
from dropkit.ops.rate import Rate
from dropkit.random import Schedule


class LimaDropout(RateModule):
    """Dropout on the residual branch of layer ``layer`` of ``layers``, at rate ``rate * layer / (layers - 1)``.

    So the first layer drops nothing and the last one at ``rate``; each element of the branch has a coin of its own.
    Mean ``x``, variance ``x**2 * r / (1 - r)`` with ``r`` the rate of the layer.

    Args:
        rate: Rate of the last layer, in ``[0, 1]``.
        layer: Which layer it is in, from 0.
        layers: Number of layers, at least 1; the only layer of one is the last.
        site: Name under which an active stream counts its calls.

    Raises:
        OptionError: There is no such layer.

    Reference:
        Zhou et al., "LIMA: Less Is More for Alignment", NeurIPS 2023, sec. 3, arXiv:2305.11206: residual dropout
        from 0.0 at the bottom layer, linearly raised to 0.3 at the last (0.2 for smaller models).
    """

    def __init__(self, rate: Rate = 0.3, *, layer: int, layers: int, site: str | None = None) -> None:
        if not 0 <= layer < layers:
            raise OptionError(f"layer must be in [0, {layers}) of {layers} layers, got {layer!r}")
        super().__init__(rate, site=site)
        self.layer = layer
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, the output of a residual branch, of any shape."""
        if not self.training:
            return dropout(x, 0.0, training=False)
        rate = self.rate.now() if isinstance(self.rate, Schedule) else self.rate
        share = self.layer / (self.layers - 1) if self.layers > 1 else 1.0
        return dropout(x, rate * share, training=True, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, layer={self.layer}, layers={self.layers}"


register(
    Variant(
        name="lima_dropout",
        family="conditional",
        kind="module",
        op=None,
        module=LimaDropout,
        paper='Zhou et al., "LIMA: Less Is More for Alignment", NeurIPS 2023, sec. 3, arXiv:2305.11206',
        year=2023,
        law="dropout at rate * layer / (layers - 1) in layer 0, 1, ...: none in the first, rate in the last; mean x",
        at=("residual",),
        default_rate=0.3,
        samples=True,
        example=lambda: (LimaDropout(0.3, layer=3, layers=4), torch.ones(8, 16)),
    )
)
