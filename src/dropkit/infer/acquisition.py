"""Which cases of a pool a label would teach most about: scores from the members of a prediction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from dropkit.core import ConfigError, DataError
from dropkit.stats.inputs import Floats, Integers, as_floats, check_sums

_CONFIGURATIONS = 4096  # joint outcomes that are enumerated; beyond, as many are sampled
_BLOCK = 2**24  # numbers held at once


def entropy(members: npt.ArrayLike) -> Floats:
    """Return the predictive entropy of each case in nats, shape ``(N,)``.

    Args:
        members: Class probabilities of every member, shape ``(T, N, C)``.

    Raises:
        DataError: ``members`` are no probabilities of that shape.
    """
    return np.asarray(entr(check_members(members).mean(axis=0)).sum(axis=-1))


def least_confidence(members: npt.ArrayLike) -> Floats:
    """Return 1 - the largest mean probability of each case, shape ``(N,)``; see :func:`entropy`."""
    return np.asarray(np.maximum(1.0 - check_members(members).mean(axis=0).max(axis=-1), 0.0))


def bald(members: npt.ArrayLike) -> Floats:
    """Return the mutual information of label and member in nats: predictive minus expected entropy, shape ``(N,)``.

    Never below 0, and 0 where the members agree: entropy that no label would remove does not count.

    Args:
        members: Class probabilities of every member, shape ``(T, N, C)``.

    Raises:
        DataError: ``members`` are no probabilities of that shape.

    Reference:
        Houlsby et al., arXiv:1112.5745, eq. 2; Gal, Islam and Ghahramani, ICML 2017, arXiv:1703.02910.
    """
    p = check_members(members)
    information = entr(p.mean(axis=0)).sum(axis=-1) - entr(p).sum(axis=-1).mean(axis=0)
    return np.asarray(np.maximum(information, 0.0))


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
    count, cases, _ = p.shape
    if k != int(k) or not 1 <= k <= cases:
        raise ConfigError(f"k must be in 1 .. {cases}, the size of the pool, got {k!r}")
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    gains: list[float] = []
    outcomes = np.ones((1, count))  # probability of each joint outcome of the chosen, under every member
    weights = np.ones(1)  # 1, or 1 / (M q) for outcomes sampled with probability q
    for _ in range(int(k)):
        more = _information(outcomes, weights, p)
        more[chosen] = -np.inf
        best = int(np.argmax(more))
        chosen.append(best)
        gains.append(float(more[best]))
        outcomes, weights = _grown(outcomes, weights, p[:, best], generator)
    return np.array(chosen, dtype=np.int64), np.cumsum(gains)


def _information(outcomes: Floats, weights: Floats, p: Floats) -> Floats:
    """Return what each case's label would add, shape ``(N,)``: the mean of its :func:`bald` once an outcome is known.

    So written every outcome adds at least 0, and sampling them errs less than for the joint entropy.
    """
    count, cases, classes = p.shape
    known = (weights * entr(outcomes.mean(axis=1))).sum() + weights @ outcomes @ entr(p).sum(axis=-1) / count
    joint = np.empty(cases)
    step = max(1, _BLOCK // (len(outcomes) * classes))
    for start in range(0, cases, step):
        part = p[:, start : start + step]
        mass = (outcomes @ part.reshape(count, -1) / count).reshape(len(outcomes), -1, classes)
        joint[start : start + step] = np.einsum("mnc,m->n", entr(mass), weights)
    return np.asarray(np.maximum(joint - known, 0.0))


def _grown(
    outcomes: Floats, weights: Floats, p: Floats, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Join outcomes with the labels of one more case; too many are sampled, weighted so that sums stay unbiased."""
    size, classes = len(outcomes), p.shape[1]
    if size * classes <= _CONFIGURATIONS:
        which, label = np.divmod(np.arange(size * classes), classes)
        return outcomes[which] * p[:, label].T, weights[which]
    mass = (weights[:, None] * (outcomes @ p)).ravel()
    share = mass / mass.sum()
    taken = generator.choice(len(share), size=_CONFIGURATIONS, p=share)
    which, label = np.divmod(taken, classes)
    return outcomes[which] * p[:, label].T, weights[which] / (_CONFIGURATIONS * share[taken])


def check_members(members: npt.ArrayLike) -> Floats:
    """Return members' class probabilities, shape ``(T, N, C)``, or raise ``DataError``."""
    p = as_floats(members, "members")
    if p.ndim != 3 or 0 in p.shape:
        raise DataError(f"members must have shape (T, N, C), got {p.shape}; predict with keep_members=True")
    check_sums(p, members, "members")
    return p
