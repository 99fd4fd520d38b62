"""Variational dropout as modules: Gaussian noise on units, or on the weights of a layer, of learned variance."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.learned.learned_rate import LearnedRate
from dropkit.nn.learned.local_noise import Linear, check_linear, linear_map, noisy_map
from dropkit.nn.learned.penalised import Penalised
from dropkit.ops import variational_dropout
from dropkit.ops.axes import along
from dropkit.ops.learned.divergence import gaussian_noise

_PAPER = (
    'Kingma, Salimans & Welling, "Variational Dropout and the Local Reparameterization Trick", NeurIPS 2015, '
    "arXiv:1506.02557"
)


class VariationalDropout(LearnedRate, Penalised):
    """Module form of :func:`dropkit.ops.variational_dropout`, which learns its rate, or one a unit.

    The rate is inside ``(0, 1/2)``, so that ``alpha = rate / (1 - rate)`` is below 1. The penalty, to be added to the
    *sum* of the losses of the training set (divide it by the number of samples for a mean), is the divergence of
    the noise from the log-uniform prior, up to a constant, summed over the units of a sample.

    Args:
        rate: Rate to start from, inside ``(0, 0.5)``.
        features: Number of units along ``axis``, which learn a rate each. None: one rate for all.
        axis: Axis of the input along which units lie.
        site: Name under which an active stream counts its calls.

    Reference:
        Kingma, Salimans & Welling, "Variational Dropout and the Local Reparameterization Trick", NeurIPS 2015,
        sec. 3.1 and 3.3, arXiv:1506.02557.
    """

    highest = 0.5

    def __init__(
        self, rate: float = 0.2, *, features: int | None = None, axis: int = 1, site: str | None = None
    ) -> None:
        super().__init__(rate, features, site=site)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, *)``."""
        rates = self.rates()
        if self.training:
            self._remember(math.prod(x.shape[1:]) // rates.numel())
        laid = along("variational_dropout", rates, x, self.axis)
        return variational_dropout(x, laid, training=self.training, site=self.site)

    def penalty(self) -> Tensor:
        """Return the penalty as a 0-d tensor that carries gradients.

        Raises:
            PenaltyError: No forward pass in training mode has shown how many units a sample has.
        """
        rates = self.rates()
        total: Tensor = self._latest() * gaussian_noise(rates / (1.0 - rates)).sum()
        return total

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return super().extra_repr() + ("" if self.axis == 1 else f", axis={self.axis}")


class VariationalWeights(LearnedRate, Penalised):
    """Wrap a linear layer or convolution: independent Gaussian noise on its weights, of one learned rate.

    In training each output is normal, with the mean that ``layer`` gives and the variance of weights
    ``N(w, alpha * w**2)``, ``alpha = rate / (1 - rate)``, drawn as noise of the outputs (local reparameterisation).
    In eval mode it is ``layer``. The penalty is that of :class:`VariationalDropout`, summed over the weights.

    Args:
        layer: ``nn.Linear`` or ``nn.Conv1d``, ``2d``, ``3d``.
        rate: Rate to start from, inside ``(0, 0.5)``.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: ``layer`` is something else.

    Reference:
        Kingma, Salimans & Welling, "Variational Dropout and the Local Reparameterization Trick", NeurIPS 2015,
        sec. 2.3 and 3.2 (independent weight noise), arXiv:1506.02557.
    """

    highest = 0.5

    def __init__(self, layer: Linear, rate: float = 0.2, *, site: str | None = None) -> None:
        check_linear("VariationalWeights", layer)
        super().__init__(rate, site=site)
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, as ``layer`` takes it."""
        weight = self.layer.weight
        if not self.training:
            return linear_map(self.layer, x, weight, self.layer.bias)
        return noisy_map(self.layer, x, weight, self._alpha() * weight.square(), self.site)

    def penalty(self) -> Tensor:
        """Return the penalty as a 0-d tensor that carries gradients."""
        return self.layer.weight.numel() * gaussian_noise(self._alpha())

    def _alpha(self) -> Tensor:
        rate = self.rates()
        return rate / (1.0 - rate)


register(
    Variant(
        name="variational_dropout",
        family="learned",
        kind="module",
        op=variational_dropout,
        module=VariationalDropout,
        paper=_PAPER,
        year=2015,
        law="x * (1 + s z), z standard normal, s^2 = rate / (1 - rate) learned, below 1; mean x, variance s^2 x^2",
        at=("input", "hidden", "fc", "conv"),
        default_rate=0.2,
        samples=True,
        example=lambda: (VariationalDropout(0.2), torch.ones(8, 16)),
    )
)
register(
    Variant(
        name="variational_weights",
        family="learned",
        kind="wrapper",
        op=None,
        module=VariationalWeights,
        paper=_PAPER,
        year=2015,
        law="weights N(w, a w^2), a = rate / (1 - rate) learned, drawn as noise of the outputs; mean that of the layer",
        at=("weights",),
        default_rate=0.2,
        samples=True,
        example=lambda: (VariationalWeights(nn.Linear(16, 16)), torch.ones(8, 16)),
    )
)
