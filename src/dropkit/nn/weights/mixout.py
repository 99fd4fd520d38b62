"""Mixout around a pretrained layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import ShapeError, Variant, register
from dropkit.nn.weights.wrapper import WeightWrapper
from dropkit.ops import mixout
from dropkit.ops.rate import Rate
from dropkit.ops.weights.mixout import Per, check_per


class Mixout(WeightWrapper):
    """A layer whose weights fall back to the pretrained ones by :func:`dropkit.ops.mixout` in training.

    Wrap before fine-tuning. The bias is left alone.

    Args:
        layer: The pretrained layer, which stays as it is.
        rate: Probability of replacing, in ``[0, 1]``.
        target: Weights to fall back to, of the shape of the layer's. None: a copy of those it has now. They are the
            buffer ``target``, saved with the wrapper.
        per: ``"unit"`` or ``"weight"``: whether the weights out of one input share a coin.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: The layer is of a type that cannot be wrapped.
        ShapeError: ``target`` has another shape than the weight.
    """

    target: Tensor

    def __init__(
        self,
        layer: nn.Module,
        rate: Rate,
        target: Tensor | None = None,
        per: Per = "unit",
        *,
        site: str | None = None,
    ) -> None:
        super().__init__(layer, rate, site=site)
        check_per(per)
        self.per: Per = per
        start = self.weight if target is None else target
        if start.shape != self.weight.shape:
            raise ShapeError(
                f"Mixout needs a target of shape {tuple(self.weight.shape)}, as the weight has, "
                f"got {tuple(start.shape)}"
            )
        self.register_buffer("target", start.detach().clone())

    def drawn(self) -> Tensor:
        """Return the weight of one call, some elements of it replaced."""
        return mixout(self.weight, self.rate, target=self.target, training=True, per=self.per, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, per={self.per!r}"


def _example() -> tuple[Mixout, Tensor]:
    layer = nn.Linear(6, 6)
    return Mixout(layer, 0.5, layer.weight.detach() + 1.0), torch.linspace(-1.0, 2.0, 48).view(8, 6)


register(
    Variant(
        name="mixout",
        family="weights",
        kind="wrapper",
        op=mixout,
        module=Mixout,
        paper='Lee et al., "Mixout", ICLR 2020, arXiv:1909.11299',
        year=2020,
        law="the weights w out of an input are the pretrained u with probability rate, else u + (w - u) / (1 - rate); "
        "mean w, variance (w - u)^2 rate / (1 - rate)",
        at=("weights",),
        default_rate=0.7,
        samples=True,
        example=_example,
    )
)
