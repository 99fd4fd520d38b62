"""ShakeDrop as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import shake_drop
from dropkit.ops.paths.shake_drop import Interval, check_interval
from dropkit.ops.rate import Rate


class ShakeDrop(RateModule):
    """Module form of :func:`dropkit.ops.shake_drop`, for the output of a residual branch.

    In eval mode it multiplies by the mean factor, so it is not the identity there.

    Args:
        rate: Probability of disturbing a sample's branch, in ``[0, 1]``.
        alpha: Interval of the forward factor.
        beta: Interval of the backward factor.
        site: Name under which an active stream counts its calls.
    """

    def __init__(
        self,
        rate: Rate,
        alpha: Interval = (-1.0, 1.0),
        beta: Interval = (0.0, 1.0),
        *,
        site: str | None = None,
    ) -> None:
        super().__init__(rate, site=site)
        self.alpha = check_interval("alpha", alpha)
        self.beta = check_interval("beta", beta)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, *)``."""
        return shake_drop(
            x, self.rate, training=self.training, alpha=self.alpha, beta=self.beta, site=self.site
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, alpha={self.alpha}, beta={self.beta}"


register(
    Variant(
        name="shake_drop",
        family="depth and paths",
        kind="module",
        op=shake_drop,
        module=ShakeDrop,
        paper='Yamada et al., "ShakeDrop Regularization", IEEE Access 2019, arXiv:1802.02375',
        year=2019,
        law="each sample's branch is a x with probability rate, a uniform in (-1, 1), else x; other numbers backwards; "
        "mean and eval (1 - rate) x",
        at=("residual",),
        default_rate=0.5,
        samples=True,
        example=lambda: (ShakeDrop(0.5), torch.linspace(0.5, 2.0, 128).view(32, 4)),
        acts_in_eval=True,
    )
)
