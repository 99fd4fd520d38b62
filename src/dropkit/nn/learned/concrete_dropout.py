"""Concrete dropout as modules: the rate is learned, against a penalty that keeps it from 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.learned.learned_rate import LearnedRate
from dropkit.nn.learned.penalised import Penalised, check_weight
from dropkit.ops import concrete_dropout, concrete_dropout1d, concrete_dropout2d, concrete_dropout3d
from dropkit.ops.learned.divergence import negative_entropy
from dropkit.ops.learned.relaxed import check_temperature


class ConcreteDropout(LearnedRate, Penalised):
    """Module form of :func:`dropkit.ops.concrete_dropout` with one rate, which it learns.

    The penalty, to be added to the mean loss of a sample, is
    ``weight_penalty * sum(w**2) / (1 - rate) + rate_penalty * units * (rate log rate + (1 - rate) log(1 - rate))``:
    weights of the layer that follows, and the negative entropy of the mask of one sample. The second term draws the
    rate to 1/2, the loss and the first term away from it.

    Args:
        rate: Rate to start from, inside ``(0, 1)``.
        layer: The layer that follows, whose weights the penalty takes: ``forward`` ends with it. None: ``forward``
            only drops, and the first term of the penalty is 0.
        temperature: Of the relaxation, above 0.
        weight_penalty: ``length_scale**2 / (precision * samples)``, at least 0; ``samples`` of the training set.
        rate_penalty: ``2 / (precision * samples)``, at least 0, for a squared error without the factor 1/2.
        site: Name under which an active stream counts its calls.

    Reference:
        Gal, Hron & Kendall, "Concrete Dropout", NeurIPS 2017, eq. 3 and 4, arXiv:1705.07832, with the weights that
        act after the scale ``1 / (1 - rate)``. *Departures*: biases are not penalised.
    """

    def __init__(
        self,
        rate: float = 0.1,
        layer: nn.Module | None = None,
        *,
        temperature: float = 0.1,
        weight_penalty: float = 1e-6,
        rate_penalty: float = 1e-5,
        site: str | None = None,
    ) -> None:
        check_temperature(temperature)
        check_weight("weight_penalty", weight_penalty)
        check_weight("rate_penalty", rate_penalty)
        super().__init__(rate, site=site)
        self.layer = layer
        self.temperature = temperature
        self.weight_penalty = weight_penalty
        self.rate_penalty = rate_penalty

    _op = staticmethod(concrete_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, of any shape ``(N, *)``."""
        if self.training:
            self._remember(self._units(x))
        y = self._op(x, self.rate, training=self.training, temperature=self.temperature, site=self.site)
        return y if self.layer is None else self.layer(y)

    def penalty(self) -> Tensor:
        """Return the penalty as a 0-d tensor that carries gradients.

        Raises:
            PenaltyError: No forward pass in training mode has shown how many units a sample has.
        """
        rate = self.rates()
        total: Tensor = self.rate_penalty * self._latest() * negative_entropy(rate)
        for weight in () if self.layer is None else self.layer.parameters():
            if weight.ndim > 1:
                total = total + self.weight_penalty * weight.square().sum() / (1.0 - rate)
        return total

    @staticmethod
    def _units(x: Tensor) -> int:
        return math.prod(x.shape[1:])

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return (
            f"{super().extra_repr()}, temperature={self.temperature:g}, weight_penalty={self.weight_penalty:g}, "
            f"rate_penalty={self.rate_penalty:g}"
        )


class _ConcreteChannels(ConcreteDropout):
    @staticmethod
    def _units(x: Tensor) -> int:
        return x.shape[1]


class ConcreteDropout1d(_ConcreteChannels):
    """Module form of :func:`dropkit.ops.concrete_dropout1d`; see :class:`ConcreteDropout`. Units are channels."""

    _op = staticmethod(concrete_dropout1d)


class ConcreteDropout2d(_ConcreteChannels):
    """Module form of :func:`dropkit.ops.concrete_dropout2d`; see :class:`ConcreteDropout`. Units are channels."""

    _op = staticmethod(concrete_dropout2d)


class ConcreteDropout3d(_ConcreteChannels):
    """Module form of :func:`dropkit.ops.concrete_dropout3d`; see :class:`ConcreteDropout`. Units are channels."""

    _op = staticmethod(concrete_dropout3d)


_PAPER = 'Gal, Hron & Kendall, "Concrete Dropout", NeurIPS 2017, arXiv:1705.07832'
_LAW = "x (1 - z) / (1 - rate), z a relaxed mask, above 1/2 with probability rate; the rate is learned, mean about x"

register(
    Variant(
        name="concrete_dropout",
        family="learned",
        kind="module",
        op=concrete_dropout,
        module=ConcreteDropout,
        paper=_PAPER,
        year=2017,
        law=_LAW,
        at=("input", "hidden", "fc"),
        default_rate=0.1,
        samples=True,
        example=lambda: (ConcreteDropout(0.1), torch.ones(8, 16)),
    )
)
register(
    Variant(
        name="concrete_dropout1d",
        family="learned",
        kind="module",
        op=concrete_dropout1d,
        module=ConcreteDropout1d,
        paper=_PAPER,
        year=2017,
        law=_LAW,
        at=("conv", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (ConcreteDropout1d(0.1), torch.ones(4, 16, 5)),
    )
)
register(
    Variant(
        name="concrete_dropout2d",
        family="learned",
        kind="module",
        op=concrete_dropout2d,
        module=ConcreteDropout2d,
        paper=_PAPER,
        year=2017,
        law=_LAW,
        at=("conv", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (ConcreteDropout2d(0.1), torch.ones(4, 16, 3, 3)),
    )
)
register(
    Variant(
        name="concrete_dropout3d",
        family="learned",
        kind="module",
        op=concrete_dropout3d,
        module=ConcreteDropout3d,
        paper=_PAPER,
        year=2017,
        law=_LAW,
        at=("conv", "hidden"),
        default_rate=0.1,
        samples=True,
        example=lambda: (ConcreteDropout3d(0.1), torch.ones(4, 16, 2, 2, 2)),
    )
)
