"""Shake-Shake as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.ops import shake_shake
from dropkit.ops.paths.shake_shake import Backward, check_backward


class ShakeShake(nn.Module):
    """Module form of :func:`dropkit.ops.shake_shake`: mixes the outputs of two branches.

    Args:
        backward: ``"shake"``, ``"even"`` or ``"keep"``: where the factor of the gradient comes from.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, backward: Backward = "shake", *, site: str | None = None) -> None:
        super().__init__()
        check_backward(backward)
        self.backward: Backward = backward
        self.site = site

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Mix ``x`` and ``other``, both of shape ``(N, *)``."""
        return shake_shake(x, other, training=self.training, backward=self.backward, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"backward={self.backward!r}" + ("" if self.site is None else f", site={self.site!r}")


register(
    Variant(
        name="shake_shake",
        family="depth and paths",
        kind="op",
        op=shake_shake,
        module=ShakeShake,
        paper='Gastaldi, "Shake-Shake regularization", 2017, arXiv:1705.07485',
        year=2017,
        law="a x + (1 - a) z, a uniform in (0, 1) a sample; the gradient uses another number; mean (x + z) / 2, "
        "variance (x - z)^2 / 12",
        at=("residual",),
        default_rate=None,
        samples=True,
        example=lambda: (ShakeShake(), (torch.ones(8, 16), torch.full((8, 16), -2.0))),
    )
)
