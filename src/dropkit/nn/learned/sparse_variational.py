"""Sparse variational dropout: noise of learned variance a weight, which removes the weights it drowns."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dropkit.core import OptionError, Variant, register
from dropkit.nn.learned.local_noise import Linear, check_linear, linear_map, noisy_map
from dropkit.nn.learned.penalised import Penalised
from dropkit.ops.learned.divergence import sparse_noise

_CLIP = 8.0  # of log alpha: beyond it noise, divergence and gradients are those at it


class SparseVariational(Penalised):
    """Wrap a linear layer or convolution: additive noise on each weight, of a variance that it learns.

    In training weights are ``N(w, s**2)``, with a learned ``log(s**2)`` each, drawn as noise of the outputs (local
    reparameterisation); ``log alpha = log(s**2 / w**2)``, clipped to ``[-8, 8]``, says how much of a weight is
    noise. In eval mode nothing is drawn, and weights with ``log alpha`` above the threshold are zero. The penalty, to
    be added to the *sum* of the losses of the training set (divide it by the number of samples for a mean; a
    warm-up factor from 0 to 1 helps), is the divergence of the noise from the log-uniform prior: it grows as a weight
    gets less noisy, and drives the needless ones to ``alpha`` infinite.

    Args:
        layer: ``nn.Linear`` or ``nn.Conv1d``, ``2d``, ``3d``.
        threshold: ``log alpha`` from which on a weight counts as noise: 3 is a dropout rate of 0.95.
        start: ``log(s**2)`` to start from.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: ``layer`` is something else.
        OptionError: ``threshold`` or ``start`` is NaN.

    Reference:
        Molchanov, Ashukha & Vetrov, "Variational Dropout Sparsifies Deep Neural Networks", ICML 2017, sec. 4,
        eq. 14 and 16-18, arXiv:1701.05369. *Departures*: none; start and clip are those of the authors' code.
    """

    def __init__(
        self, layer: Linear, *, threshold: float = 3.0, start: float = -10.0, site: str | None = None
    ) -> None:
        check_linear("SparseVariational", layer)
        for name, value in (("threshold", threshold), ("start", start)):
            if value != value:
                raise OptionError(f"{name} must be a number, got {value!r}")
        super().__init__()
        self.layer = layer
        self.threshold = threshold
        self.start = start
        self.site = site
        self.log_variance = nn.Parameter(torch.full_like(layer.weight, start))

    def log_alpha(self) -> Tensor:
        """Return the logarithm of the noise's variance over the square of each weight, in ``[-8, 8]``."""
        tiny = torch.finfo(self.layer.weight.dtype).tiny
        log_square = self.layer.weight.square().clamp_min(tiny).log()
        return (self.log_variance - log_square).clamp(-_CLIP, _CLIP)

    def keeps(self) -> Tensor:
        """Return which weights are kept in eval mode, a boolean tensor."""
        return self.log_alpha() < self.threshold

    @property
    def sparsity(self) -> float:
        """Share of the weights that are zero in eval mode."""
        return 1.0 - self.keeps().double().mean().item()

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, as ``layer`` takes it."""
        weight = self.layer.weight
        if not self.training:
            return linear_map(self.layer, x, weight.where(self.keeps(), 0.0), self.layer.bias)
        return noisy_map(self.layer, x, weight, self.log_alpha().exp() * weight.square(), self.site)

    def penalty(self) -> Tensor:
        """Return the penalty as a 0-d tensor that carries gradients."""
        return sparse_noise(self.log_alpha()).sum()

    def prune(self) -> Linear:
        """Return a copy of the layer, without noise, whose needless weights are zero."""
        pruned = copy.deepcopy(self.layer)
        with torch.no_grad():
            pruned.weight.masked_fill_(~self.keeps(), 0.0)
        return pruned

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        site = "" if self.site is None else f", site={self.site!r}"
        return f"threshold={self.threshold:g}, start={self.start:g}{site}"


register(
    Variant(
        name="sparse_variational",
        family="learned",
        kind="wrapper",
        op=None,
        module=SparseVariational,
        paper=(
            'Molchanov, Ashukha & Vetrov, "Variational Dropout Sparsifies Deep Neural Networks", ICML 2017, '
            "arXiv:1701.05369"
        ),
        year=2017,
        law="weights N(w, s^2), s learned a weight, as noise of the outputs; zero in eval mode where s^2 / w^2 > e^3",
        at=("weights",),
        default_rate=None,
        samples=True,
        example=lambda: (SparseVariational(nn.Linear(16, 16), start=-3.0), torch.ones(8, 16)),
    )
)
