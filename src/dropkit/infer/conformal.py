"""Split conformal prediction: sets and intervals that contain the truth as often as asked, whatever the model."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dropkit.core import ConfigError, DataError
from dropkit.stats.inputs import Floats, as_floats, check_classification


def conformal_quantile(scores: npt.ArrayLike, level: float) -> float:
    """Return the ``ceil((n + 1) * level)``-th smallest of ``n`` scores; infinity if there are too few of them.

    A new score, exchangeable with these, is at most that with probability at least ``level``, and at most ``level +
    1 / (n + 1)`` if no two are equal.

    Args:
        scores: Shape ``(n,)``.
        level: In (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level must be in (0, 1), got {level!r}")
    s = np.sort(as_floats(scores, "scores"))
    rank = math.ceil((len(s) + 1) * level * (1 - 1e-12))  # 0.9 * 10 is 9.000000000000002
    return float(s[rank - 1]) if rank <= len(s) else math.inf


class ConformalSets:
    """Sets of classes that contain the true one with a probability of at least ``level``.

    The guarantee is over calibration data and new case together, which must be exchangeable; it is marginal: over
    all cases, not for each class or group.

    Args:
        level: Share of cases whose set contains the truth, in (0, 1).
        score: ``"threshold"``: 1 - probability, the smallest sets; ``"adaptive"``: cumulated probability of the
            classes at least as likely, whose sets follow the difficulty of a case and are never empty.

    Reference:
        Sadinle, Lei and Wasserman, JASA 114 (2019), arXiv:1609.00451 (threshold); Romano, Sesia and Candes, NeurIPS
        2020, arXiv:2006.02544 (adaptive; *Departures*: without randomisation, so sets are a little larger).
    """

    def __init__(self, level: float = 0.9, score: str = "threshold") -> None:
        if not 0.0 < level < 1.0:
            raise ConfigError(f"level must be in (0, 1), got {level!r}")
        if score not in ("threshold", "adaptive"):
            raise ConfigError(f"score must be 'threshold' or 'adaptive', got {score!r}")
        self.level, self.score = level, score
        self.limit = math.inf

    def fit(self, probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> ConformalSets:
        """Calibrate on data that was used for nothing else.

        Args:
            probabilities: Shape ``(n, C)``, rows summing to 1.
            labels: True classes, integers in ``0 .. C-1``, shape ``(n,)``.

        Raises:
            DataError: Bad shapes, values or labels.
        """
        p, y = check_classification(probabilities, labels)
        self.limit = conformal_quantile(self._scores(p)[np.arange(len(y)), y], self.level)
        return self

    def sets(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which classes belong to the set of each case, shape ``(N, C)``."""
        return self._scores(as_floats(probabilities, "probabilities")) <= self.limit

    def _scores(self, p: Floats) -> Floats:
        if self.score == "threshold":
            return 1.0 - p
        order = np.argsort(-p, axis=1, kind="stable")
        cumulated = np.cumsum(np.take_along_axis(p, order, axis=1), axis=1)
        scores = np.empty_like(p)
        # the likeliest class scores 0, so that it is in every set
        np.put_along_axis(scores, order, cumulated - cumulated[:, :1], axis=1)
        return scores


class ConformalIntervals:
    """Intervals around a prediction that contain the target with a probability of at least ``level``.

    Args:
        level: Share of targets inside their interval, in (0, 1).

    Reference:
        Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 113 (2018), arXiv:1604.04173,
        algorithm 2 and sec. 5.2 (locally weighted).
    """

    def __init__(self, level: float = 0.9) -> None:
        if not 0.0 < level < 1.0:
            raise ConfigError(f"level must be in (0, 1), got {level!r}")
        self.level = level
        self.limit = math.inf

    def fit(
        self, prediction: npt.ArrayLike, target: npt.ArrayLike, scale: npt.ArrayLike | None = None
    ) -> ConformalIntervals:
        """Calibrate on data that was used for nothing else.

        Args:
            prediction: Shape ``(n,)``.
            target: Shape ``(n,)``.
            scale: Predicted standard deviations above 0, shape ``(n,)``; intervals are then as wide as these say.

        Raises:
            DataError: Shapes differ, or a scale is not positive.
        """
        p, t = as_floats(prediction, "prediction"), as_floats(target, "target")
        if p.shape != t.shape or p.ndim != 1:
            raise DataError(f"prediction and target must both have shape (n,), got {p.shape} and {t.shape}")
        self.limit = conformal_quantile(np.abs(t - p) / _scale(scale, p), self.level)
        return self

    def intervals(
        self, prediction: npt.ArrayLike, scale: npt.ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        """Return the lower and the upper ends, shape ``(N,)`` each; infinite if calibrated on too few cases."""
        p = as_floats(prediction, "prediction")
        half = self.limit * _scale(scale, p)
        return p - half, p + half


def _scale(scale: npt.ArrayLike | None, like: Floats) -> Floats:
    if scale is None:
        return np.ones_like(like)
    s = as_floats(scale, "scale")
    if s.shape != like.shape or (s <= 0).any():
        raise DataError(f"scale must be positive and of shape {like.shape}, got shape {s.shape}")
    return s
