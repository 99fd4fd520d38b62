"""Jumpout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import jumpout


class Jumpout(RateModule):
    """Module form of :func:`dropkit.ops.jumpout`, for the output of a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, *)``."""
        return jumpout(x, self.rate, training=self.training, site=self.site)


register(
    Variant(
        name="jumpout",
        family="unit noise",
        kind="op",
        op=jumpout,
        module=Jumpout,
        paper='Wang, Zhou and Bilmes, "Jumpout: Improved Dropout for Deep Neural Networks with ReLUs", ICML '
        "2019, PMLR 97",
        year=2019,
        law="each sample draws p, half-normal cut at 1 with mean rate; of its units a share p changes from "
        "active to 0, "
        "the others are multiplied by (1 - d)^-0.75, d = p / share of active units",
        at=("hidden",),
        default_rate=0.1,
        samples=True,
        example=lambda: (Jumpout(0.5), torch.ones(8, 16)),
    )
)
