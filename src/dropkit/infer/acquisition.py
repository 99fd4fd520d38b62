"""Which cases of a pool a label would teach most about: scores from the members of a prediction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from dropkit.core import ConfigError, DataError
from dropkit.stats.inputs import Floats, Integers, as_floats

_CONFIGURATIONS = 4096  # joint outcomes that are enumerated; beyond, as many are sampled


def entropy(members: npt.ArrayLike) -> Floats:
    """Return the predictive entropy of each case in nats, shape ``(N,)``.

    Args:
        members: Class probabilities of every member, shape ``(T, N, C)``.
    """
    return np.asarray(entr(check_members(members).mean(axis=0)).sum(axis=-1))


def least_confidence(members: npt.ArrayLike) -> Floats:
    """Return 1 - the largest mean probability of each case, shape ``(N,)``."""
    return np.asarray(1.0 - check_members(members).mean(axis=0).max(axis=-1))


def bald(members: npt.ArrayLike) -> Floats:
    """Return the mutual information of label and member in nats: predictive minus expected entropy, shape ``(N,)``.

    Reference:
        Houlsby et al., arXiv:1112.5745, eq. 2; Gal, Islam and Ghahramani, ICML 2017, arXiv:1703.02910.
    """
    p = check_members(members)
    return np.asarray(entr(p.mean(axis=0)).sum(axis=-1) - entr(p).sum(axis=-1).mean(axis=0))


def batch_bald(members: npt.ArrayLike, k: int, *, seed: int) -> tuple[Integers, Floats]:
    """Return ``k`` cases, chosen one by one, whose labels together tell most about the member.

    Unlike the ``k`` largest :func:`bald` scores it does not take a case twice over: two equal cases tell hardly more
    than one. It needs members that are each one network on all cases (``share_masks=True``).

    Args:
        members: Class probabilities of every member, shape ``(T, N, C)``.
        k: Number of cases, at most ``N``.
        seed: Seed of the joint outcomes that are sampled where there are too many to enumerate.

    Returns:
        Indices of the cases in the order of choice, and the joint mutual information after each choice, in nats.

    Raises:
        DataError: ``members`` are no probabilities of that shape.
        ConfigError: ``k`` is not in ``1 .. N``.

    Reference:
        Kirsch, van Amersfoort and Gal, "BatchBALD", NeurIPS 2019, arXiv:1906.08158, eq. 8 and 12-14.
    """
    p = check_members(members)
    count, cases, classes = p.shape
    if not 1 <= k <= cases:
        raise ConfigError(f"k must be in 1 .. {cases}, the size of the pool, got {k!r}")
    conditional = entr(p).sum(axis=-1).mean(axis=0)
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    gains: list[float] = []
    outcomes = np.ones((1, count))  # probability of each joint outcome of the chosen, under every member
    weights = np.ones(1)  # 1, or 1 / (M q) for outcomes sampled with probability q
    for _ in range(k):
        # sum over outcomes and labels of the entropy of the joint probability, in expectation over outcomes
        joint = np.einsum("mt,tnc->nmc", outcomes, p, optimize=True) / count
        information = (entr(joint) * weights[None, :, None]).sum(axis=(1, 2))
        information -= conditional + conditional[chosen].sum()
        information[chosen] = -np.inf
        best = int(np.argmax(information))
        chosen.append(best)
        gains.append(float(information[best]))
        grown = (outcomes[:, None, :] * p[None, :, best, :].transpose(0, 2, 1)).reshape(-1, count)
        weights = np.repeat(weights, classes)
        if len(grown) > _CONFIGURATIONS:
            grown, weights = _sampled(grown, weights, generator)
        outcomes = grown
    return np.array(chosen, dtype=np.int64), np.array(gains)


def _sampled(outcomes: Floats, weights: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Keep outcomes by importance, weighted so that sums over them stay unbiased."""
    mass = weights * outcomes.mean(axis=1)
    share = mass / mass.sum()
    taken = generator.choice(len(share), size=_CONFIGURATIONS, p=share)
    return outcomes[taken], weights[taken] / (_CONFIGURATIONS * share[taken])


def check_members(members: npt.ArrayLike) -> Floats:
    """Return members' class probabilities, shape ``(T, N, C)``, or raise ``DataError``."""
    p = as_floats(members, "members")
    if p.ndim != 3 or 0 in p.shape:
        raise DataError(f"members must have shape (T, N, C), got {p.shape}; predict with keep_members=True")
    if p.min() < 0.0 or abs(p.sum(axis=-1) - 1.0).max() > 1e-4:
        raise DataError("members must be probabilities that sum to 1 over the last axis")
    return p
