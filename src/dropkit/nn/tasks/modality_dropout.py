"""Modality dropout as a module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.core import OptionError, ShapeError, Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import modality_dropout
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input, select
from dropkit.ops.tasks.modality_dropout import check_sizes, draw_modalities


class ModalityDropout(RateModule):
    """Module form of :func:`dropkit.ops.modality_dropout`, for one tensor that holds all modalities or several.

    Args:
        rate: Probability of dropping a modality of a sample, in ``[0, 1]``; a tensor has one for each.
        sizes: How many features in the second axis of a single input belong to each modality. None: one each.
        at_least_one: Whether every sample keeps a modality.
        site: Name under which an active stream counts its calls.
    """

    def __init__(
        self,
        rate: Rate,
        sizes: Sequence[int] | None = None,
        at_least_one: bool = False,
        *,
        site: str | None = None,
    ) -> None:
        super().__init__(rate, site=site)
        check_sizes(sizes)
        self.sizes = None if sizes is None else tuple(sizes)
        self.at_least_one = at_least_one

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Apply it to one tensor that holds all modalities; or to one tensor each, of shapes ``(N, *)``."""
        if len(inputs) == 1:
            return modality_dropout(
                inputs[0],
                self.rate,
                training=self.training,
                sizes=self.sizes,
                at_least_one=self.at_least_one,
                site=self.site,
            )
        return self._each(inputs)

    def _each(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not inputs or self.sizes is not None:
            raise OptionError(
                f"modality_dropout needs one input that holds all modalities, or without sizes several, "
                f"got {len(inputs)} with sizes={self.sizes}"
            )
        for x in inputs:
            used = check_input("modality_dropout", x, self.rate, training=self.training)
        rows = inputs[0].shape[:1]
        if any(x.shape[:1] != rows or x.ndim == 0 for x in inputs):
            shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
            raise ShapeError(f"modality_dropout needs inputs with one batch axis (N, *), got {shapes}")
        if not self.training:
            return inputs
        keep = draw_modalities(
            rows[0],
            len(inputs),
            used,
            inputs[0].device,
            self.at_least_one,
            generator=None,
            site=self.site,
        )
        return tuple(
            select(x, keep[:, m].view(-1, *[1] * (x.ndim - 1)).to(x.device), 1.0)
            for m, x in enumerate(inputs)
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        sizes = "" if self.sizes is None else f", sizes={self.sizes}"
        return super().extra_repr() + sizes + (", at_least_one=True" if self.at_least_one else "")


register(
    Variant(
        name="modality_dropout",
        family="multi-task",
        kind="op",
        op=modality_dropout,
        module=ModalityDropout,
        paper='Neverova et al., "ModDrop: Adaptive Multi-Modal Gesture Recognition", IEEE TPAMI 38(8), 2016, '
        "arXiv:1501.00102",
        year=2016,
        law="each modality of a sample is 0 with probability rate, else x; mean x (1 - rate), variance "
        "x^2 rate (1 - rate)",
        at=("input", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (ModalityDropout(0.5), torch.ones(16, 3, 4)),
    )
)
