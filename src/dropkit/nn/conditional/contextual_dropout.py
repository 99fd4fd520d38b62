"""Contextual dropout: a small network on the features gives each sample rates of its own."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dropkit.core import OptionError, RateError, Variant, check_rate, register
from dropkit.nn.learned.axes import with_axes
from dropkit.nn.learned.penalised import Penalised
from dropkit.ops.axes import check_units, unit_coins
from dropkit.ops.draws import draw_normal
from dropkit.ops.learned import divergence
from dropkit.ops.learned.relaxed import check_temperature, relaxed_drop
from dropkit.ops.reference import scale_by

Noise = Literal["bernoulli", "gaussian"]


class ContextualDropout(Penalised):
    """Dropout with one rate a sample and unit, from two small layers over the features.

    ``rates = sigmoid(W2 leaky_relu(W1 mean(x)))``, the mean over all positions. ``noise="bernoulli"``: a relaxed mask
    with the law of :func:`dropkit.ops.concrete_dropout`; ``noise="gaussian"``: ``x * (1 + s * z)`` with ``s**2 =
    rate / (1 - rate)``, mean ``x``, variance ``x**2 * s**2``. Both let gradients reach the small layers. The penalty,
    to be added to the mean loss of a batch with a weight of choice, is the divergence of a sample's noise from that of
    a learned prior rate, summed over the units, averaged over the batch. It starts at ``rate`` for every sample. In
    eval mode it returns ``x``.

    Args:
        features: Number of units along ``axis``; one coin covers a unit of a sample.
        rate: Rate to start from, and of the prior to start from, inside ``(0, 1)``.
        noise: Kind of the noise.
        reduction: Factor by which the hidden layer of the small network is narrower than ``features``, at least 1.
        temperature: Of the relaxation, above 0.
        axis: Axis of the input along which units lie.
        site: Name under which an active stream counts its calls.

    Raises:
        RateError: ``rate`` is not inside ``(0, 1)``.
        OptionError: Another option is outside its range.

    Reference:
        Fan et al., "Contextual Dropout: An Efficient Sample-Dependent Dropout Module", ICLR 2021, sec. 2.2 and 2.3,
        arXiv:2103.04181. *Departures*: Bernoulli masks are trained by the Concrete relaxation (theirs: the ARM
        estimator, a second pass), and divergences from the prior are exact (theirs: sampled). As in the authors'
        code, the small network sees the features, and sends them no gradient.
    """

    def __init__(
        self,
        features: int,
        rate: float = 0.2,
        *,
        noise: Noise = "bernoulli",
        reduction: int = 8,
        temperature: float = 0.1,
        axis: int = 1,
        site: str | None = None,
    ) -> None:
        if not 0.0 < check_rate(rate) < 1.0:
            raise RateError(
                f"ContextualDropout learns its rates and needs a start inside (0, 1), got {rate!r}"
            )
        if noise not in ("bernoulli", "gaussian"):
            raise OptionError(f"noise must be 'bernoulli' or 'gaussian', got {noise!r}")
        if reduction < 1:
            raise OptionError(f"reduction must be at least 1, got {reduction!r}")
        check_temperature(temperature)
        super().__init__()
        self.features = features
        self.noise: Noise = noise
        self.temperature = temperature
        self.axis = axis
        self.site = site
        logit = math.log(rate / (1.0 - rate))
        self.inner = nn.Linear(features, max(features // reduction, 1))
        self.outer = nn.Linear(self.inner.out_features, features)
        nn.init.zeros_(self.outer.weight)
        nn.init.constant_(self.outer.bias, logit)
        self.prior_logit = nn.Parameter(torch.tensor([logit]))

    def rates(self, x: Tensor) -> Tensor:
        """Return the rates that ``x`` gets, shape ``(N, features)``."""
        positions = [i for i in range(1, x.ndim) if i != self.axis % x.ndim]
        pooled = x.detach().mean(positions) if positions else x.detach()
        hidden = nn.functional.leaky_relu(self.inner(pooled), 0.1)
        return torch.sigmoid(self.outer(hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, ..., features, ...)``."""
        check_units("ContextualDropout", self.features, x, self.axis)
        if not self.training:
            return x
        rates, coins = self.rates(x), unit_coins(x, self.axis)
        if self.noise == "bernoulli":
            each = divergence.bernoulli(rates, torch.sigmoid(self.prior_logit))
            y = relaxed_drop(x, rates.view(coins), coins, self.temperature, generator=None, site=self.site)
        else:
            deviation = (rates / (1.0 - rates)).sqrt()
            one = torch.ones_like(self.prior_logit)  # both noises have mean 1
            each = divergence.normal(one, deviation, one, 0.5 * self.prior_logit)
            z = draw_normal(coins, x.device, generator=None, site=self.site)
            y = scale_by(x, 1.0 + deviation.view(coins) * z)
        self._remember(each.sum() / max(len(x), 1))
        return y

    def penalty(self) -> Tensor:
        """Return the penalty of the latest forward pass as a 0-d tensor that carries gradients.

        Raises:
            PenaltyError: There was no forward pass in training mode yet.
        """
        penalty: Tensor = self._latest()
        return penalty

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(with_axes(state_dict, prefix, "prior_logit"), prefix, *rest)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        site = "" if self.site is None else f", site={self.site!r}"
        kind = f"features={self.features}, noise={self.noise!r}"
        return f"{kind}, temperature={self.temperature:g}, axis={self.axis}{site}"


register(
    Variant(
        name="contextual_dropout",
        family="conditional",
        kind="module",
        op=None,
        module=ContextualDropout,
        paper=(
            'Fan et al., "Contextual Dropout: An Efficient Sample-Dependent Dropout Module", ICLR 2021, '
            "arXiv:2103.04181"
        ),
        year=2021,
        law="each unit of a sample has the rate a small network gives; relaxed mask / (1 - rate), or Gaussian; mean x",
        at=("hidden", "conv", "fc"),
        default_rate=None,
        samples=True,
        example=lambda: (ContextualDropout(16), torch.linspace(-2.0, 2.0, 128).view(8, 16)),
    )
)
