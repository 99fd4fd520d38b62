"""Weighted channel dropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import weighted_channel_dropout


class WeightedChannelDropout(RateModule):
    """Module form of :func:`dropkit.ops.weighted_channel_dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, *)``."""
        return weighted_channel_dropout(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="weighted_channel_dropout",
        family="spatial",
        kind="op",
        op=weighted_channel_dropout,
        module=WeightedChannelDropout,
        paper='Hou and Wang, "Weighted Channel Dropout for Regularization of Deep Convolutional Neural '
        'Network", AAAI 2019, '
        "doi:10.1609/aaai.v33i01.33018425",
        year=2019,
        law="a share rate of each sample's channels is 0, the less active ones more often; others are x "
        "times the sum of all "
        "activations / that of the kept",
        at=("conv", "hidden"),
        default_rate=0.2,
        samples=True,
        example=lambda: (WeightedChannelDropout(0.5), torch.linspace(0.5, 2.0, 128).view(4, 16, 2)),
    )
)
