"""Information dropout as a module: log-normal noise whose strength is computed from the features."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from dropkit.core import OptionError, Variant, register
from dropkit.nn.learned.axes import with_axes
from dropkit.nn.learned.penalised import Penalised
from dropkit.ops import information_dropout
from dropkit.ops.axes import check_units
from dropkit.ops.learned import divergence

Activation = Literal["relu", "softplus"]
_LEAST = 0.001  # added to alpha, so that its logarithm stays finite

_PRIOR = ("prior_mean", "log_prior_deviation")


class InformationDropout(Penalised):
    """Module form of :func:`dropkit.ops.information_dropout` with ``alpha`` computed from the features.

    ``alpha = 0.001 + max_alpha * sigmoid(network(x))``. The penalty, times ``beta`` and divided by the number of
    training samples to be added to the mean loss, is the divergence of the noisy features from a prior, summed over
    the units of a sample and averaged over the batch: ``-log(alpha / (max_alpha + 0.001))`` for the log-uniform
    prior of ReLU features, and that of ``N(log x, alpha**2)`` from ``N(m, s**2)``, with ``m`` and ``s`` learned, for
    softplus features.

    Args:
        features: Number of units along ``axis``.
        network: From features to the logits of ``alpha``, in a shape that broadcasts over them. None: an affine map
            of the units at each position.
        activation: That which the features come from.
        max_alpha: Largest ``alpha``, above 0.
        axis: Axis of the input along which units lie.
        site: Name under which an active stream counts its calls.

    Raises:
        OptionError: ``activation`` is neither word, or ``max_alpha`` is not positive.

    Reference:
        Achille & Soatto, "Information Dropout: Learning Optimal Representations Through Noisy Computation", TPAMI
        2018, sec. 4, propositions 2 and 3, arXiv:1611.01353. *Departures*: ``alpha`` is computed from the features
        (theirs: from what the layer was given); as in the authors' code, zeros of a ReLU count as other values do.
    """

    def __init__(
        self,
        features: int,
        *,
        network: nn.Module | None = None,
        activation: Activation = "relu",
        max_alpha: float = 0.7,
        axis: int = 1,
        site: str | None = None,
    ) -> None:
        if activation not in ("relu", "softplus"):
            raise OptionError(f"activation must be 'relu' or 'softplus', got {activation!r}")
        if not 0.0 < max_alpha < float("inf"):
            raise OptionError(f"max_alpha must be positive and finite, got {max_alpha!r}")
        super().__init__()
        self.features = features
        self.network = _Pointwise(features, axis) if network is None else network
        self.activation: Activation = activation
        self.max_alpha = max_alpha
        self.axis = axis
        self.site = site
        if activation == "softplus":
            self.prior_mean = nn.Parameter(torch.zeros(1))
            self.log_prior_deviation = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, with ``features`` units along its axis."""
        if not self.training:
            return information_dropout(x, 0.0, training=False)
        check_units("InformationDropout", self.features, x, self.axis)
        alpha = _LEAST + self.max_alpha * torch.sigmoid(self.network(x))
        self._remember(self._divergence(x, alpha.expand_as(x)))
        return information_dropout(x, alpha, training=True, site=self.site)

    def penalty(self) -> Tensor:
        """Return the penalty of the latest forward pass as a 0-d tensor that carries gradients.

        Raises:
            PenaltyError: There was no forward pass in training mode yet.
        """
        penalty: Tensor = self._latest()
        return penalty

    def _divergence(self, x: Tensor, alpha: Tensor) -> Tensor:
        if self.activation == "relu":
            each = -(alpha / (self.max_alpha + _LEAST)).log()
        else:
            mean = x.clamp_min(1e-4).log()
            each = divergence.normal(mean, alpha, self.prior_mean, self.log_prior_deviation)
        return each.sum() / max(len(x), 1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(with_axes(state_dict, prefix, *_PRIOR), prefix, *rest)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        site = "" if self.site is None else f", site={self.site!r}"
        return (
            f"features={self.features}, activation={self.activation!r}, max_alpha={self.max_alpha:g}, "
            f"axis={self.axis}{site}"
        )


class _Pointwise(nn.Linear):
    """An affine map of the units along an axis, the same at every position."""

    def __init__(self, features: int, axis: int) -> None:
        super().__init__(features, features)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(self.axis, -1)).movedim(-1, self.axis)


register(
    Variant(
        name="information_dropout",
        family="learned",
        kind="module",
        op=information_dropout,
        module=InformationDropout,
        paper=(
            'Achille & Soatto, "Information Dropout: Learning Optimal Representations Through Noisy Computation", '
            "TPAMI 2018, arXiv:1611.01353"
        ),
        year=2018,
        law="x * exp(a z), z standard normal, a computed from x; mean x exp(a^2 / 2), median x",
        at=("hidden", "conv", "fc"),
        default_rate=None,
        samples=True,
        example=lambda: (InformationDropout(16), torch.linspace(0.1, 2.0, 128).view(8, 16)),
    )
)
