"""PatchDropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import patch_dropout
from dropkit.ops.rate import Rate
from dropkit.ops.tokens.token_dropout import check_spare


class PatchDropout(RateModule):
    """Module form of :func:`dropkit.ops.patch_dropout`, to stand after the positions are added.

    Args:
        rate: Share of the tokens to remove, in ``[0, 1]``; a number or a schedule.
        spare: Number of leading tokens that are never removed.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate, spare: int = 1, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        check_spare(spare)
        self.spare = spare

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, L, D)``; what comes back is shorter."""
        return patch_dropout(x, self.rate, training=self.training, spare=self.spare, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + ("" if self.spare == 1 else f", spare={self.spare}")


register(
    Variant(
        name="patch_dropout",
        family="attention and tokens",
        kind="op",
        op=patch_dropout,
        module=PatchDropout,
        paper='Liu et al., "PatchDropout: Economizing Vision Transformers Using Patch Dropout", WACV 2023, '
        "arXiv:2208.07220",
        year=2023,
        law="a random subset of the tokens, the share rate of them, is removed; the others keep their values and "
        "their order, and their mean is unbiased for that of all",
        at=("embedding",),
        default_rate=0.5,
        samples=True,
        example=lambda: (PatchDropout(0.5), torch.arange(640.0).view(16, 10, 4)),
    )
)
