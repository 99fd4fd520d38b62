"""Dropout as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import dropout
from dropkit.ops.rate import Rate
from dropkit.ops.units.dropout import Scaling, check_scaling


class Dropout(RateModule):
    """Module form of :func:`dropkit.ops.dropout`.

    Args:
        rate: Probability of dropping, in ``[0, 1]``.
        scaling: ``"train"``: inverted, nothing happens in eval mode. ``"test"``: the original of 2012, outputs
            are multiplied by ``1 - rate`` in eval mode.
        site: Name under which an active stream counts its calls.
    """

    def __init__(self, rate: Rate = 0.5, scaling: Scaling = "train", *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        check_scaling(scaling)
        self.scaling: Scaling = scaling

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, of any shape."""
        return dropout(x, self.rate, training=self.training, scaling=self.scaling, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + ("" if self.scaling == "train" else f", scaling={self.scaling!r}")


register(
    Variant(
        name="dropout",
        family="unit noise",
        kind="op",
        op=dropout,
        module=Dropout,
        paper='Srivastava et al., "Dropout", JMLR 15 (2014); Hinton et al., arXiv:1207.0580',
        year=2014,
        law="each element is 0 with probability rate, else x / (1 - rate); mean x, variance x^2 rate / (1 - rate)",
        at=("input", "hidden", "fc", "conv"),
        default_rate=0.5,
        samples=True,
        example=lambda: (Dropout(0.5), torch.ones(8, 16)),
    )
)
