"""Targeted dropout around a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, check_rate, register
from dropkit.nn.weights.wrapper import WeightWrapper
from dropkit.ops import targeted_unit_dropout, targeted_weight_dropout
from dropkit.ops.rate import Rate

_PAPER = 'Gomez et al., "Learning Sparse Networks Using Targeted Dropout", 2019, arXiv:1905.13678'


class TargetedWeightDropout(WeightWrapper):
    """A layer that drops its smallest weights by :func:`dropkit.ops.targeted_weight_dropout` in training.

    Args:
        layer: The layer, which stays as it is.
        rate: Probability of dropping a candidate, in ``[0, 1]``.
        share: Share of candidates among the incoming weights of each unit, in ``[0, 1]``.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: The layer is of a type that cannot be wrapped.
    """

    def __init__(self, layer: nn.Module, rate: Rate, share: float = 0.5, *, site: str | None = None) -> None:
        super().__init__(layer, rate, site=site)
        self.share = check_rate(share, "share")

    def drawn(self) -> Tensor:
        """Return the weight of one call, some of its candidates zero."""
        return targeted_weight_dropout(
            self.weight, self.rate, training=True, share=self.share, site=self.site
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, share={self.share:g}"


class TargetedUnitDropout(TargetedWeightDropout):
    """A layer that drops its weakest units by :func:`dropkit.ops.targeted_unit_dropout` in training.

    A dropped unit still adds its bias.

    Args:
        layer: The layer, which stays as it is.
        rate: Probability of dropping a candidate, in ``[0, 1]``.
        share: Share of candidates among the units, in ``[0, 1]``.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: The layer is of a type that cannot be wrapped.
    """

    def drawn(self) -> Tensor:
        """Return the weight of one call, some of its candidate units zero."""
        return targeted_unit_dropout(self.weight, self.rate, training=True, share=self.share, site=self.site)


register(
    Variant(
        name="targeted_weight_dropout",
        family="weights",
        kind="wrapper",
        op=targeted_weight_dropout,
        module=TargetedWeightDropout,
        paper=_PAPER,
        year=2019,
        law="of each unit's weights the given share of least magnitude is 0 with probability rate each; not rescaled",
        at=("weights",),
        default_rate=0.5,
        samples=True,
        example=lambda: (
            TargetedWeightDropout(nn.Linear(6, 6), 0.5),
            torch.linspace(-1.0, 2.0, 48).view(8, 6),
        ),
    )
)
register(
    Variant(
        name="targeted_unit_dropout",
        family="weights",
        kind="wrapper",
        op=targeted_unit_dropout,
        module=TargetedUnitDropout,
        paper=_PAPER,
        year=2019,
        law="of a layer's units the given share of least weight norm is 0 with probability rate each; not rescaled",
        at=("weights",),
        default_rate=0.5,
        samples=True,
        example=lambda: (TargetedUnitDropout(nn.Linear(6, 6), 0.5), torch.linspace(-1.0, 2.0, 48).view(8, 6)),
    )
)
