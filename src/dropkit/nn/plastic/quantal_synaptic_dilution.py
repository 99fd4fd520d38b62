"""Quantal synaptic dilution as a module, with release probabilities that differ between units."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dropkit.core import OptionError, Variant, check_rate, register
from dropkit.nn.module import RateModule
from dropkit.ops import quantal_synaptic_dilution
from dropkit.ops.axes import along
from dropkit.ops.plastic.quantal_synaptic_dilution import check_quanta
from dropkit.ops.rate import Rate

_GOLDEN = 0.6180339887498949


class QuantalSynapticDilution(RateModule):
    """Module form of :func:`dropkit.ops.quantal_synaptic_dilution`.

    With ``features``, each unit has a release probability of its own: they are evenly spaced quantiles of the beta
    distribution with mean ``1 - rate`` and ``concentration = a + b``, spread over the units in a fixed order.

    Args:
        rate: Probability that nothing is released, in ``[0, 1]``; the mean over the units with ``features``, and then a
            number.
        features: Number of units along ``axis``. None: all release alike.
        concentration: Sum of the beta distribution's parameters, above 0: lower is more heterogeneous.
        shape: Shape of the gamma distribution of a quantum's size, a whole number.
        axis: Axis of the input along which units lie.
        site: Name under which an active stream counts its calls.

    Raises:
        OptionError: An option is outside its range.
        RateError: With ``features``, the rate is no number.

    Reference:
        Bhumbra, 2020, arXiv:2009.13165; Bhumbra & Beato, J. Neurophysiol. 109 (2013), doi:10.1152/jn.00528.2012, for
        beta-distributed release.
    """

    def __init__(
        self,
        rate: Rate = 0.5,
        *,
        features: int | None = None,
        concentration: float = 10.0,
        shape: int = 11,
        axis: int = 1,
        site: str | None = None,
    ) -> None:
        check_quanta(shape)
        if not 0.0 < concentration < float("inf"):
            raise OptionError(f"concentration must be positive and finite, got {concentration!r}")
        super().__init__(rate, site=site)
        self.features = features
        self.concentration = concentration
        self.shape = shape
        self.axis = axis
        self.rates: Tensor | None
        self.register_buffer("rates", None if features is None else torch.empty(features))
        self.rate = rate

    def __setattr__(self, name: str, value: Any) -> None:
        """Spread a new rate over the units, if they differ."""
        rates = getattr(self, "rates", None) if name == "rate" else None  # not there yet in the base class
        if rates is not None:
            value = check_rate(value)  # refuses what is no number
            with torch.no_grad():
                rates.copy_(_quantiles(value, self.concentration, len(rates)))
        super().__setattr__(name, value)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, of any shape."""
        rate = self.rate
        if self.rates is not None:
            rate = along("quantal_synaptic_dilution", self.rates, x, self.axis)
        return quantal_synaptic_dilution(x, rate, training=self.training, shape=self.shape, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        units = "" if self.features is None else f", features={self.features}, axis={self.axis}"
        return f"{super().extra_repr()}{units}, concentration={self.concentration:g}, shape={self.shape}"


def _quantiles(rate: float, concentration: float, count: int) -> Tensor:
    """Return ``count`` rates, quantiles of one minus the beta-distributed release probability."""
    if rate in (0.0, 1.0):
        return torch.full((count,), rate)
    from scipy import special  # costs a tenth of a second, and few networks have these units

    order = (torch.arange(count, dtype=torch.float64) * _GOLDEN % 1.0).argsort().argsort()
    level = (order.double() + 0.5) / count
    return torch.from_numpy(
        special.betaincinv(concentration * rate, concentration * (1.0 - rate), level.numpy())
    )


register(
    Variant(
        name="quantal_synaptic_dilution",
        family="biologically inspired",
        kind="module",
        op=quantal_synaptic_dilution,
        module=QuantalSynapticDilution,
        paper=(
            'Bhumbra, "Quantal synaptic dilution enhances sparse encoding and dropout regularisation in deep '
            'networks", 2020, arXiv:2009.13165'
        ),
        year=2020,
        law="0 with probability rate, else x q / (1 - rate), q gamma of mean 1 and variance 1/11; mean x",
        at=("input", "hidden", "fc", "conv", "recurrent"),
        default_rate=0.5,
        samples=True,
        example=lambda: (QuantalSynapticDilution(0.5), torch.ones(8, 16)),
    )
)
