"""What a run says of observations, which scatter: how likely they are, and whether as many lie where they should."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropkit.core import DataError
from dropkit.infer import Prediction, fit_noise
from dropkit.infer.mixture import MixtureLikelihood
from dropkit.study.sampled import Sampled

_BLOCK = 64  # members whose likelihoods are held at once


def log_likelihood(fitted: Sampled, found: Sampled, which: Literal["plain", "mean"]) -> float:
    """Return how likely the targets of a regression are, with observation noise that was fitted on other examples.

    The mean over examples of ``log 1/T sum_t prod_k N(target_k; member_tk, noise_k)``, in the targets' own unit.

    Args:
        fitted: What the run says about examples that it was not trained on, say the validation part.
        found: What it says about the examples in question, with targets.
        which: ``"plain"``: with scaled weights, as the only member; ``"mean"``: over the thinned networks.

    Returns:
        float: NaN where the run predicts a target of ``fitted`` exactly everywhere, so that no noise is small enough.

    Raises:
        DataError: Targets are not known, or members were not kept.

    Reference:
        Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016, arXiv:1506.02142, eq. 8.
    """
    noise = _noise(fitted, which)
    if noise is None:
        return math.nan
    likelihood = MixtureLikelihood(_targets(found))
    for block in torch.split(_members(found, which), _BLOCK):
        likelihood.add(block, noise.expand_as(block))
    return float(likelihood.value.mean())


def central_levels(fitted: Sampled, found: Sampled, which: Literal["plain", "mean"]) -> NDArray[np.float64]:
    """Return for every target the level of the narrowest central interval that holds it.

    ``|2 F(target) - 1|``, ``F`` being the distribution of observations: a mixture of normal distributions as for
    :func:`log_likelihood`. Uniform in ``[0, 1]`` where the run is calibrated: 90 % of the targets in 90 % intervals.

    Args:
        fitted: As for :func:`log_likelihood`, also for the others.
        found: Of ``N`` examples.
        which: See there.

    Returns:
        ndarray: Shape ``(N, k)``; of no rows where no noise is small enough.

    Raises:
        DataError: Targets are not known, or members were not kept.

    Reference:
        Kuleshov, Fenner and Ermon, "Accurate Uncertainties for Deep Learning Using Calibrated Regression", ICML 2018,
        arXiv:1807.00263, sec. 3.
    """
    noise, target = _noise(fitted, which), _targets(found)
    if noise is None:
        return np.zeros((0, target.shape[1]))
    members = _members(found, which)
    below = torch.zeros_like(target)
    for block in torch.split(members, _BLOCK):
        below += torch.special.ndtr((target - block) / noise.sqrt()).sum(0)
    found_levels: NDArray[np.float64] = (2 * below / len(members) - 1).abs().clamp(max=1.0).numpy()
    return found_levels


def _noise(fitted: Sampled, which: Literal["plain", "mean"]) -> Tensor | None:
    """Return the likeliest variance of each target's noise; None where one is predicted exactly."""
    members, target = _members(fitted, which), _targets(fitted)
    if bool((members == target).all(0).all(0).any()):
        return None
    mean = members.mean(0)
    asked = Prediction(mean, torch.zeros_like(mean), len(members), "loop", "regression", None, members)
    return fit_noise(asked, target, per_output=True)


def _members(part: Sampled, which: Literal["plain", "mean"]) -> Tensor:
    if which == "plain":
        return torch.from_numpy(part.plain)[None]
    if part.drawn is None:
        raise DataError("members were not kept; sample with keep_members=True")
    return torch.from_numpy(part.drawn)


def _targets(part: Sampled) -> Tensor:
    if part.target is None:
        raise DataError("a likelihood needs targets, which these examples do not have")
    return torch.from_numpy(part.target).double()
