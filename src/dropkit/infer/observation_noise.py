"""Regression with observation noise: fixed, fitted on validation data, or said by the model for every sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor, nn

from dropkit.core import ConfigError, DataError, whole_number
from dropkit.infer.mixture import MixtureLikelihood, check_noise, check_target
from dropkit.infer.outputs import HEADS
from dropkit.infer.predicting import predict
from dropkit.infer.prediction import Prediction
from dropkit.infer.quantiles import check_probabilities
from dropkit.random import child_seed

Predicted = Prediction | Mapping[str, Prediction]
_GRID = 41  # noises that are tried before the best is refined
_BISECTIONS = 60


@dataclass(frozen=True, eq=False, repr=False)
class NoisyPrediction:
    """A regression's members with their observation noise, a mixture of normal distributions; see :func:`with_noise`.

    Attributes:
        mean: Shape ``(N, *out)``.
        epistemic: Variance across members, which more data would reduce, shape ``(N, *out)``.
        aleatoric: Mean of the members' noise variances, which it would not, shape ``(N, *out)``.
        members: Shape ``(T, N, *out)``.
        noise: Their noise variances, of the same shape, fp64.
    """

    mean: Tensor
    epistemic: Tensor
    aleatoric: Tensor
    members: Tensor
    noise: Tensor

    def __repr__(self) -> str:
        """Say of what and by how many, not every number."""
        return f"NoisyPrediction(mean: {tuple(self.mean.shape)}, members: {len(self.members)})"

    @property
    def variance(self) -> Tensor:
        """Variance of an observation, shape ``(N, *out)``: epistemic plus aleatoric."""
        return self.epistemic + self.aleatoric

    def log_likelihood(self, target: Tensor) -> Tensor:
        """Return ``log p(target)`` of each sample, shape ``(N,)``; see :meth:`Prediction.log_likelihood`."""
        likelihood = MixtureLikelihood(target)
        likelihood.add(self.members, self.noise)
        return likelihood.value.to(self.mean.dtype)

    def quantile(self, q: float | Sequence[float] | Tensor) -> Tensor:
        """Return quantiles of an observation, shape ``(N, *out)`` or ``(Q, N, *out)``, by bisection.

        Args:
            q: Probability in ``(0, 1)``, or several in a list or a 1-d tensor.
        """
        wanted = check_probabilities(q, ends=False)
        found = [self._quantile(float(one)) for one in wanted.reshape(-1)]
        return torch.stack(found) if wanted.ndim else found[0]

    def _quantile(self, q: float) -> Tensor:
        centre, scale = self.members.double(), self.noise.double().sqrt()
        reach = torch.special.ndtri(torch.tensor(q, dtype=torch.float64)) * scale  # of each member's own
        low, high = (centre + reach).amin(0), (centre + reach).amax(0)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            below = torch.special.ndtr((middle - centre) / scale).mean(0) < q
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        result: Tensor = (0.5 * (low + high)).to(self.mean.dtype)
        return result


def with_noise(prediction: Predicted, noise: float | Tensor | None = None) -> NoisyPrediction:
    """Return what a regression says of observations, which scatter about what the model says.

    ``Var[y] = Var[member] + E[noise]``.

    Args:
        prediction: By ``dk.predict(..., task="regression", keep_members=True)``; of a model whose forward returns a
            pair ``(mean, log variance)``, or a dict with ``"mean"`` and ``"log_variance"``, a dict of predictions.
        noise: Variance of the observation noise, above 0: a number (1 / tau), what :func:`fit_noise` returned, or a
            tensor that broadcasts to ``(T, N, *out)``. None: the model says it.

    Raises:
        ConfigError: The noise is not above 0, given twice or not at all; or members were not kept.

    Reference:
        Kendall and Gal, "What Uncertainties Do We Need in Bayesian Deep Learning for Computer Vision?", NeurIPS 2017,
        arXiv:1703.04977, eq. 9; with a number, Gal and Ghahramani, ICML 2016, arXiv:1506.02142, eq. 7.
    """
    mean, given = _heads(prediction, noise)
    if mean.task == "classification":
        raise ConfigError("observation noise is of a regression; predict with task='regression'")
    members = mean.members
    variance = check_noise(given, members)
    return NoisyPrediction(mean.mean, mean.variance, variance.mean(0).to(mean.variance), members, variance)


def fit_noise(prediction: Prediction, target: Tensor, *, per_output: bool = False) -> Tensor:
    """Choose the variance of the observation noise that makes validation targets as likely as possible.

    Args:
        prediction: Of validation data, by ``dk.predict(..., task="regression", keep_members=True)``.
        target: Shape ``(N, *out)``.
        per_output: Whether each output has a noise of its own.

    Returns:
        Tensor: 0-d, or of shape ``out``; its inverse is tau.

    Raises:
        ConfigError: Members were not kept, the shapes differ, or the model says its noise itself.
        DataError: There are no targets, they are not finite, or members predict them all exactly, so that no noise is
            small enough.

    Reference:
        Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016, arXiv:1506.02142, eq. 8, whose maximum
        this is. *Departures*: theirs is chosen on a grid.
    """
    if not isinstance(prediction, Prediction):
        raise ConfigError(
            f"fit_noise takes one Prediction, got a {type(prediction).__name__}; a model that says its noise needs none"
        )
    members, y = prediction.members.double(), torch.as_tensor(target).double()
    check_target(y, members)
    if y.numel() == 0 or not bool(y.isfinite().all()):
        raise DataError("fit_noise needs targets, all of them finite")
    squares = ((y - members) ** 2).flatten(2) if members.ndim > 2 else ((y - members) ** 2)[..., None]
    nearest = squares.amin(0) if per_output else squares.sum(-1, keepdim=True).amin(0)
    if not bool((nearest.amax(0) > 0).all()):
        raise DataError(
            "members predict all targets exactly, so that no noise is small enough; give a number"
        )

    common = _best_number(squares)
    if not per_output:
        return torch.tensor(common, dtype=torch.float64).exp().to(prediction.members)
    units = squares.mean((0, 1))  # outputs may be in units of their own
    squares = squares / units

    def value_and_slope(values: Any) -> tuple[float, Any]:
        leaf = torch.tensor(values, requires_grad=True)
        with torch.enable_grad():
            value = _loss(squares, leaf)
            value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach()), np.asarray(leaf.grad)

    width = squares.shape[-1]
    starts = [  # there may be several maxima
        common - units.log().numpy(),
        np.full(width, _best_number(squares)),
        np.array([_best_number(squares[..., [k]]) for k in range(width)]),
    ]
    tried = [minimize(value_and_slope, start, jac=True, method="L-BFGS-B") for start in starts]
    found = min(tried, key=lambda result: float(result.fun))
    return (torch.tensor(found.x).exp() * units).view(y.shape[1:]).to(prediction.members)


def log_likelihood(
    model: nn.Module,
    *inputs: Any,
    target: Tensor,
    seed: int,
    members: int = 50,
    noise: float | Tensor | None = None,
    block: int = 1000,
    **options: Any,
) -> Tensor:
    """Return ``log p(target)`` of each sample under many members, in the memory of a block of them.

    Args:
        model: A regression; see :func:`with_noise` for what it may return.
        inputs: What its forward takes, or a ``DataLoader`` whose order is fixed.
        target: Shape ``(N, *out)``.
        seed: Root of the masks; block ``b`` has the members of ``child_seed(seed, f"block {b}")``.
        members: Number of members, at least 1.
        noise: Variance of the observation noise, that broadcasts to ``(N, *out)``. None: the model says it.
        block: Number of members that are held at once.
        options: Of :func:`dropkit.predict`.

    Returns:
        Tensor: fp64, shape ``(N,)``.

    Raises:
        ConfigError: An argument makes no sense.
        DataError: The model's outputs cannot be used.
    """
    for name, value in (("members", members), ("block", block)):
        if whole_number(value) is None or value < 1:
            raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")
    likelihood = MixtureLikelihood(target)
    for index, first in enumerate(range(0, members, block)):
        drawn = predict(
            model,
            *inputs,
            members=min(block, members - first),
            seed=child_seed(seed, f"block {index}"),
            task="regression",
            keep_members=True,
            **options,
        )
        noisy = with_noise(drawn, noise)
        likelihood.add(noisy.members, noisy.noise)
    return likelihood.value


def _heads(prediction: Predicted, noise: float | Tensor | None) -> tuple[Prediction, float | Tensor]:
    if isinstance(prediction, Prediction):
        if noise is None:
            raise ConfigError("the model says nothing of its noise; give noise=, a variance")
        return prediction, noise
    missing = [name for name in HEADS if name not in prediction]
    if missing:
        raise ConfigError(
            f"a model that says its noise returns {HEADS[0]!r} and {HEADS[1]!r}, got "
            f"{', '.join(map(repr, prediction))}"
        )
    if noise is not None:
        raise ConfigError("noise is given twice: by the model and by noise=; leave noise= out")
    mean, log_variance = (prediction[name] for name in HEADS)
    return mean, log_variance.members.double().exp()


def _loss(squares: Tensor, log_noise: Tensor) -> Tensor:
    """Return the negative log-likelihood, but for a constant, of squared residuals ``(T, N, out)``."""
    log_p = -0.5 * (squares / log_noise.exp() + log_noise).sum(-1)
    return -torch.logsumexp(log_p, dim=0).mean()


def _best_number(squares: Tensor) -> float:
    """Return the logarithm of the best single variance: the best of a grid, refined between its neighbours."""
    positive = squares[squares > 0]
    low, high = float(positive.min().log()), float(squares.mean().log())
    grid = np.linspace(max(low, high - 30.0) - 1.0, high + 1.0, _GRID)
    losses = [float(_loss(squares, torch.tensor(point, dtype=torch.float64))) for point in grid]
    k = int(np.argmin(losses))
    ends = grid[max(k - 1, 0)], grid[min(k + 1, _GRID - 1)]
    found = minimize_scalar(
        lambda point: float(_loss(squares, torch.tensor(float(point), dtype=torch.float64))),
        bounds=ends,
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(found.x)
