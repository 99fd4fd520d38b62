"""Neuron drop-in: new neurons beside those of a trained layer, which stay as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import ModuleError, OptionError, ShapeError, Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops import dropout
from dropkit.ops.rate import Rate


class NeuronDropIn(RateModule):
    """Wrap two linear layers: new neurons are put between them, and those that are there stay as they are.

    ``y = outer(f(inner(x))) + W2 dropout(f(W1 x + b1), rate)``. ``W2`` starts at 0, so the network computes what it
    did; ``inner`` and ``outer`` no longer take gradients if ``freeze``. New neurons are zero with probability ``rate``
    in training, else scaled by ``1 / (1 - rate)``: mean that of eval mode, where all are in.

    Args:
        inner: The layer that the new neurons are beside.
        outer: The layer that reads them.
        new: Number of new neurons, at least 1.
        activation: What stands between the two, elementwise. None: ReLU.
        rate: Probability that a new neuron is out, in ``[0, 1]``; a schedule from 1 brings them in gradually.
        freeze: Whether to switch off the gradients of ``inner`` and ``outer``.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: ``inner`` or ``outer`` is no ``nn.Linear``.
        ShapeError: ``outer`` does not fit on ``inner``.
        OptionError: ``new`` is below 1.

    Reference:
        Li et al., "Enhancing Efficiency and Performance in Deepfake Audio Detection through Neuron-level dropin &
        Neuroplasticity Mechanisms", IJCNN 2026, arXiv:2603.24343; Li, Milling & Schuller, arXiv:2503.21419 (2025), for
        the idea. *Departures*: what new neurons pass on starts at 0, and they may come in gradually, as in Smith et
        al. 2016 (theirs: at once, initialised at random).
    """

    def __init__(
        self,
        inner: nn.Linear,
        outer: nn.Linear,
        new: int,
        *,
        activation: nn.Module | None = None,
        rate: Rate = 0.0,
        freeze: bool = True,
        site: str | None = None,
    ) -> None:
        for layer in (inner, outer):
            if not isinstance(layer, nn.Linear):
                raise ModuleError(f"NeuronDropIn needs two nn.Linear, got {type(layer).__name__}")
        if inner.out_features != outer.in_features:
            raise ShapeError(
                f"the outer layer reads {outer.in_features} units, but the inner one has {inner.out_features}"
            )
        if new < 1:
            raise OptionError(f"new must be at least 1, got {new!r}")
        super().__init__(rate, site=site)
        self.inner = inner
        self.outer = outer
        self.activation = nn.ReLU() if activation is None else activation
        self.new_inner = nn.Linear(inner.in_features, new).to(inner.weight)
        self.new_outer = nn.Linear(new, outer.out_features, bias=False).to(inner.weight)
        nn.init.zeros_(self.new_outer.weight)
        if freeze:
            inner.requires_grad_(False)
            outer.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(..., inner.in_features)``."""
        new = dropout(self.activation(self.new_inner(x)), self.rate, training=self.training, site=self.site)
        y: Tensor = self.outer(self.activation(self.inner(x))) + self.new_outer(new)
        return y

    def merged(self) -> tuple[nn.Linear, nn.Linear]:
        """Return two plain layers that compute what this does in eval mode."""
        wide = self.inner.out_features + self.new_inner.out_features
        inner = nn.Linear(self.inner.in_features, wide).to(self.inner.weight)
        outer = nn.Linear(wide, self.outer.out_features, bias=self.outer.bias is not None).to(inner.weight)
        with torch.no_grad():
            inner.weight.copy_(torch.cat((self.inner.weight, self.new_inner.weight)))
            old = torch.zeros_like(self.inner.weight[:, 0]) if self.inner.bias is None else self.inner.bias
            inner.bias.copy_(torch.cat((old, self.new_inner.bias)))
            outer.weight.copy_(torch.cat((self.outer.weight, self.new_outer.weight), 1))
            if self.outer.bias is not None:
                outer.bias.copy_(self.outer.bias)
        return inner, outer


def _grown() -> tuple[nn.Module, Tensor]:
    module = NeuronDropIn(nn.Linear(16, 8), nn.Linear(8, 16), 8, rate=0.5)
    nn.init.ones_(module.new_outer.weight)  # as if they had been trained: at 0 nothing would show
    return module, torch.linspace(-2.0, 2.0, 128).view(8, 16)


register(
    Variant(
        name="neuron_drop_in",
        family="biologically inspired",
        kind="wrapper",
        op=None,
        module=NeuronDropIn,
        paper=(
            'Li et al., "Enhancing Efficiency and Performance in Deepfake Audio Detection through Neuron-level dropin '
            '& Neuroplasticity Mechanisms", IJCNN 2026, arXiv:2603.24343'
        ),
        year=2026,
        law="new neurons beside frozen ones, 0 with probability rate, else scaled by 1 / (1 - rate); mean as in eval",
        at=("fc",),
        default_rate=0.0,
        samples=True,
        example=_grown,
    )
)
