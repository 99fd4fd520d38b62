"""Answering only where the model is sure: error against the share of cases that are answered."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dropkit.core import DataError
from dropkit.stats.inputs import Floats, as_floats


class RiskCoverage(NamedTuple):
    """Risk at every coverage, from the surest cases alone to all of them.

    Args:
        coverage: Share of cases answered, shape ``(K,)``, increasing, last 1; cases of equal uncertainty are
            answered together.
        risk: Mean loss of those answered, shape ``(K,)``.
        threshold: Largest uncertainty among those answered, shape ``(K,)``.
    """

    coverage: Floats
    risk: Floats
    threshold: Floats


def risk_coverage(uncertainty: npt.ArrayLike, loss: npt.ArrayLike) -> RiskCoverage:
    """Return the risk-coverage curve of abstaining from the most uncertain cases.

    Args:
        uncertainty: Larger means less sure, shape ``(N,)``: an entropy, a variance, 1 - confidence.
        loss: Loss of each case, shape ``(N,)``: 0 and 1 for right and wrong, or a squared error.

    Raises:
        DataError: Shapes differ, or values are not finite.

    Reference:
        Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017, arXiv:1705.08500.
    """
    u, losses = check_pair(uncertainty, loss)
    order = np.argsort(u, kind="stable")
    u, total = u[order], np.cumsum(losses[order])
    last = np.append(np.flatnonzero(np.diff(u)), len(u) - 1)
    return RiskCoverage((last + 1) / len(u), total[last] / (last + 1), u[last])


def aurc(uncertainty: npt.ArrayLike, loss: npt.ArrayLike) -> float:
    """Return the area under the risk-coverage curve: the mean risk over all coverages ``1/N .. 1``.

    Cases of equal uncertainty count with their expected risk under a random order, so the value does not depend on
    the order of the data.

    Args:
        uncertainty: Larger means less sure, shape ``(N,)``.
        loss: Loss of each case, shape ``(N,)``.

    Returns:
        Smaller is better; the mean loss where uncertainty says nothing.

    Raises:
        DataError: Shapes differ, or values are not finite.

    Reference:
        Geifman, Uziel and El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019,
        arXiv:1805.08206, sec. 3.
    """
    u, losses = check_pair(uncertainty, loss)
    _, group = np.unique(u, return_inverse=True)
    means = np.bincount(group, weights=losses) / np.bincount(group)
    expected = means[np.sort(group)]  # the expected loss at each place of a sorted order
    return float((np.cumsum(expected) / np.arange(1, len(u) + 1)).mean())


def check_pair(uncertainty: npt.ArrayLike, loss: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return uncertainty and loss, both ``(N,)``, or raise ``DataError``."""
    u, losses = as_floats(uncertainty, "uncertainty"), as_floats(loss, "loss")
    if u.ndim != 1 or u.shape != losses.shape or len(u) == 0:
        raise DataError(
            f"uncertainty and loss must both have shape (N,), N >= 1, got {u.shape} and {losses.shape}"
        )
    return u, losses
