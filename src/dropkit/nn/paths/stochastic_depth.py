"""Stochastic depth with torchvision's two modes, as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import stochastic_depth
from dropkit.ops.paths.stochastic_depth import Mode, check_mode
from dropkit.ops.rate import Rate


class StochasticDepth(RateModule):
    """Module form of :func:`dropkit.ops.stochastic_depth`, for the output of a residual branch.

    Args:
        rate: Probability of dropping, in ``[0, 1]``.
        mode: ``"row"``: a coin a sample; ``"batch"``: one for all samples.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate, mode: Mode = "row", *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        check_mode(mode)
        self.mode: Mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, *)``."""
        return stochastic_depth(x, self.rate, training=self.training, mode=self.mode, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, mode={self.mode!r}"


register(
    Variant(
        name="stochastic_depth",
        family="depth and paths",
        kind="op",
        op=stochastic_depth,
        module=StochasticDepth,
        paper='Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382',
        year=2016,
        law="a branch, of each sample or of the batch, is 0 with probability rate, else x / (1 - rate); "
        "variance x^2 rate / (1 - rate)",
        at=("residual",),
        default_rate=0.2,
        samples=True,
        example=lambda: (StochasticDepth(0.5), torch.ones(64, 4)),
    )
)
