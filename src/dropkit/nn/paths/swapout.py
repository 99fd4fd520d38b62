"""Swapout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import swapout
from dropkit.ops.rate import Rate, accept_rate


class Swapout(RateModule):
    """Module form of :func:`dropkit.ops.swapout`, in the place of a residual sum.

    Args:
        rate: Probability of dropping an element of the block's input, in ``[0, 1]``.
        branch_rate: Probability of dropping an element of the branch; None: ``rate``.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate, branch_rate: Rate | None = None, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        self.branch_rate = None if branch_rate is None else accept_rate(branch_rate)

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Return the sum of the block's input ``x`` and its branch, two tensors of one shape."""
        return swapout(
            x,
            self.rate,
            branch=branch,
            training=self.training,
            branch_rate=self.branch_rate,
            site=self.site,
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        shown = super().extra_repr()
        return shown if self.branch_rate is None else f"{shown}, branch_rate={self.branch_rate}"


register(
    Variant(
        name="swapout",
        family="depth and paths",
        kind="op",
        op=swapout,
        module=Swapout,
        paper='Singh et al., "Swapout: Learning an Ensemble of Deep Architectures", NeurIPS 2016, arXiv:1605.06465',
        year=2016,
        law="of x + f each element of each term is 0 with probability rate, else divided by 1 - rate; "
        "variance (x^2 + f^2) rate / (1 - rate)",
        at=("residual",),
        default_rate=0.5,
        samples=True,
        example=lambda: (Swapout(0.5), (torch.ones(8, 16), torch.full((8, 16), 2.0))),
    )
)
