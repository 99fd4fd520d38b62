"""Guided dropout as a module: units with a learned strength, of which the strong ones are dropped."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import guided_dropout
from dropkit.ops.axes import along
from dropkit.ops.conditional.guided_dropout import Pick, check_pick
from dropkit.ops.rate import Rate


class GuidedDropout(RateModule):
    """Multiply each unit by a strength that is learned, and drop strong units by :func:`dropkit.ops.guided_dropout`.

    ``y = guided_dropout(x * strength)`` in training, ``x * strength`` in eval mode.

    Args:
        features: Number of units along ``axis``.
        rate: Probability of dropping an active unit, or share of units to drop, in ``[0, 1]``. Train with 0 for a
            few epochs, until strengths have settled.
        pick: ``"region"``: at random among units outside the fullest bin of strengths; ``"top"``: the strongest.
        axis: Axis of the input along which units lie.
        site: Name under which an active stream counts its calls.

    Raises:
        OptionError: ``pick`` is neither word.

    Reference:
        Keshari, Singh & Vatsa, "Guided Dropout", AAAI 2019, arXiv:1812.03965. Strengths start uniform in ``[0, 1)``.
    """

    def __init__(
        self,
        features: int,
        rate: Rate = 0.2,
        *,
        pick: Pick = "region",
        axis: int = 1,
        site: str | None = None,
    ) -> None:
        check_pick(pick)
        super().__init__(rate, site=site)
        self.pick: Pick = pick
        self.axis = axis
        self.strength = nn.Parameter(nn.init.uniform_(torch.empty(features)))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, ..., features, ...)``."""
        scaled = x * along("guided_dropout", self.strength, x, self.axis)
        return guided_dropout(
            scaled,
            self.rate,
            self.strength,
            training=self.training,
            pick=self.pick,
            axis=self.axis,
            site=self.site,
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        axis = "" if self.axis == 1 else f", axis={self.axis}"
        return f"features={len(self.strength)}, {super().extra_repr()}, pick={self.pick!r}{axis}"


def _settled() -> tuple[nn.Module, Tensor]:
    module = GuidedDropout(16)
    with torch.no_grad():  # half of the units are weak, and share a bin
        module.strength.copy_(torch.cat((torch.full((8,), 0.1), torch.linspace(0.3, 1.0, 8))))
    return module, torch.ones(8, 16)


register(
    Variant(
        name="guided_dropout",
        family="conditional",
        kind="module",
        op=guided_dropout,
        module=GuidedDropout,
        paper='Keshari, Singh & Vatsa, "Guided Dropout", AAAI 2019, arXiv:1812.03965',
        year=2019,
        law="units outside the fullest bin of strengths are 0 with probability rate, else x / (1 - rate); mean x",
        at=("hidden", "conv", "fc"),
        default_rate=0.2,
        samples=True,
        acts_in_eval=True,
        example=_settled,
    )
)
