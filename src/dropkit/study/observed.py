"""How likely targets are under what a run says, whose observations scatter."""

from __future__ import annotations

import math
from typing import Literal

import torch
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
    members, target = _members(fitted, which), _targets(fitted)
    if bool((members == target).all(0).all(0).any()):
        return math.nan
    mean = members.mean(0)
    asked = Prediction(mean, torch.zeros_like(mean), len(members), "loop", "regression", None, members)
    noise = fit_noise(asked, target, per_output=True)
    likelihood = MixtureLikelihood(_targets(found))
    for block in torch.split(_members(found, which), _BLOCK):
        likelihood.add(block, noise.expand_as(block))
    return float(likelihood.value.mean())


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
