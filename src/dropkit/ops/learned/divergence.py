"""Divergences of learned noise from its prior: what a penalty adds to the loss. All are functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def negative_entropy(rate: Tensor) -> Tensor:
    """Return ``rate * log(rate) + (1 - rate) * log(1 - rate)`` in nats, 0 at rates 0 and 1."""
    total: Tensor = torch.special.xlogy(rate, rate) + torch.special.xlog1py(1.0 - rate, -rate)
    return total


def gaussian_noise(alpha: Tensor) -> Tensor:
    """Return the divergence of ``N(1, alpha)`` noise from the log-uniform prior, up to a constant.

    A cubic fit for ``alpha <= 1``: Kingma et al. 2015, sec. 3.3 and appendix C.
    """
    return -(0.5 * alpha.log() + 1.16145124 * alpha - 1.50204118 * alpha**2 + 0.58629921 * alpha**3)


def sparse_noise(log_alpha: Tensor) -> Tensor:
    """Return the divergence of ``N(1, alpha)`` noise from the log-uniform prior, 0 as ``alpha`` goes to infinity.

    A fit for every ``alpha``: Molchanov et al. 2017, eq. 14.
    """
    fitted = 0.63576 * torch.sigmoid(1.87320 + 1.48695 * log_alpha) - 0.5 * functional.softplus(-log_alpha)
    return 0.63576 - fitted


def normal(mean: Tensor, deviation: Tensor, prior_mean: Tensor, log_prior_deviation: Tensor) -> Tensor:
    """Return the divergence of ``N(mean, deviation**2)`` from ``N(prior_mean, prior_deviation**2)``, in nats."""
    precision = (-2.0 * log_prior_deviation).exp()
    square = (deviation**2 + (mean - prior_mean) ** 2) * precision
    return 0.5 * (square - 1.0) + log_prior_deviation - deviation.log()


def bernoulli(rate: Tensor, prior: Tensor) -> Tensor:
    """Return the divergence of a coin of ``rate`` from one of ``prior``, a rate in ``(0, 1)``, in nats."""
    return negative_entropy(rate) - rate * prior.log() - (1.0 - rate) * torch.log1p(-prior)
