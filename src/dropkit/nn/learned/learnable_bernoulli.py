"""Learnable Bernoulli dropout: hard masks, with rates learned by an unbiased estimator of two passes."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import StreamError, Variant, register
from dropkit.nn.learned.antithetic import Draw, current_passes
from dropkit.nn.learned.learned_rate import LearnedRate
from dropkit.nn.learned.penalised import Penalised, check_weight
from dropkit.ops.axes import along, unit_coins
from dropkit.ops.draws import draw_keep, draw_uniform
from dropkit.ops.learned.divergence import negative_entropy
from dropkit.ops.reference import check_input, select


class LearnableBernoulli(LearnedRate, Penalised):
    """Dropout with hard masks whose rates are parameters, trained by :func:`dropkit.objectives.arm`.

    In training each unit of a sample is zero with its rate, else ``x / (1 - rate)``: mean ``x``, variance
    ``x**2 * rate / (1 - rate)``. In eval mode nothing happens. ``dropkit.objectives.arm(model, loss)`` runs the loss
    twice, with opposite coins, and gives the rates a gradient without bias; in an ordinary pass they get only that
    of the factor ``1 / (1 - rate)``. The penalty is ``rate_penalty`` times the negative entropy of the mask of all
    units in nats.

    Args:
        rate: Rate to start from, inside ``(0, 1)``.
        features: Number of units along ``axis``, which learn a rate each and have one coin a sample. None: one rate
            for all, and one coin an element.
        axis: Axis of the input along which units lie.
        rate_penalty: Weight of the penalty, at least 0.
        site: Name under which an active stream counts its calls.

    Reference:
        Boluki et al., "Learnable Bernoulli Dropout for Bayesian Deep Learning", AISTATS 2020, sec. 2,
        arXiv:2002.05155; Yin & Zhou, "ARM: Augment-REINFORCE-Merge Gradient for Stochastic Binary Networks", ICLR
        2019, theorem 1, arXiv:1807.11143. *Departures*: kept units are rescaled while training.
    """

    def __init__(
        self,
        rate: float = 0.2,
        *,
        features: int | None = None,
        axis: int = 1,
        rate_penalty: float = 0.0,
        site: str | None = None,
    ) -> None:
        check_weight("rate_penalty", rate_penalty)
        super().__init__(rate, features, site=site)
        self.axis = axis
        self.rate_penalty = rate_penalty

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, *)``."""
        check_input("learnable_bernoulli", x, 0.0)
        if not self.training:
            return x
        rates = along("learnable_bernoulli", self.rates(), x, self.axis)
        keep = self._keep(x, rates)
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        return select(x, keep, 1.0 / (1.0 - rates.to(wide)))

    def penalty(self) -> Tensor:
        """Return the penalty as a 0-d tensor that carries gradients."""
        return self.rate_penalty * negative_entropy(self.rates()).sum()

    def _keep(self, x: Tensor, rates: Tensor) -> Tensor:
        coins = x.shape if self.features is None else unit_coins(x, self.axis)
        passes = current_passes()
        if passes is None:
            return draw_keep(coins, rates.detach(), x.device, generator=None, site=self.site)
        if not passes.second:
            u = draw_uniform(coins, x.device, generator=None, site=self.site)
            passes.keep(self, u)
            return u > rates.detach()
        again = passes.again(self)
        if again is None or again.shape != torch.Size(coins):
            raise StreamError(
                "the second pass of arm() calls a LearnableBernoulli that the first did not, or with another shape; "
                "the loss has to do the same both times"
            )
        passes.draws.append(Draw(again, along("learnable_bernoulli", self.logits(), x, self.axis)))
        return again < 1.0 - rates.detach()

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        axis = "" if self.axis == 1 else f", axis={self.axis}"
        return f"{super().extra_repr()}{axis}, rate_penalty={self.rate_penalty:g}"


register(
    Variant(
        name="learnable_bernoulli",
        family="learned",
        kind="module",
        op=None,
        module=LearnableBernoulli,
        paper=(
            'Boluki et al., "Learnable Bernoulli Dropout for Bayesian Deep Learning", AISTATS 2020, '
            "arXiv:2002.05155; Yin & Zhou, ICLR 2019, arXiv:1807.11143"
        ),
        year=2020,
        law="each unit is 0 with probability rate, learned by two opposite passes, else x / (1 - rate); mean x",
        at=("input", "hidden", "conv", "fc"),
        default_rate=0.2,
        samples=True,
        example=lambda: (LearnableBernoulli(0.2), torch.ones(8, 16)),
    )
)
