"""Attention-based dropout layer as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import attention_based_dropout
from dropkit.ops.conditional.attention_based_dropout import check_threshold
from dropkit.ops.rate import Rate


class AttentionBasedDropout(RateModule):
    """Module form of :func:`dropkit.ops.attention_based_dropout`.

    Args:
        rate: Probability, per sample, of hiding the salient region, in ``[0, 1]``; else the importance map acts.
        threshold: Share of the maximal attention from which on a position is salient, in ``[0, 1]``.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate = 0.75, threshold: float = 0.8, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        check_threshold(threshold)
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, H, W)``."""
        return attention_based_dropout(
            x, self.rate, training=self.training, threshold=self.threshold, site=self.site
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, threshold={self.threshold:g}"


register(
    Variant(
        name="attention_based_dropout",
        family="conditional",
        kind="module",
        op=attention_based_dropout,
        module=AttentionBasedDropout,
        paper=(
            'Choe & Shim, "Attention-based Dropout Layer for Weakly Supervised Object Localization", CVPR 2019, '
            "arXiv:1908.10028"
        ),
        year=2019,
        law="a sample's salient positions are 0 with probability rate; else the sample is x * sigmoid(channel mean)",
        at=("conv",),
        default_rate=0.75,
        samples=False,
        example=lambda: (AttentionBasedDropout(), torch.linspace(0.1, 2.0, 512).view(8, 4, 4, 4)),
    )
)
