"""Split conformal prediction: sets and intervals that contain the truth as often as asked, whatever the model."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dropkit.core import ConfigError, DataError
from dropkit.stats.inputs import Floats, as_floats, check_classification, check_probabilities


def conformal_quantile(scores: npt.ArrayLike, level: float) -> float:
    """Return the ``ceil((n + 1) * level)``-th smallest of ``n`` scores; infinity if there are too few of them.

    A new score, exchangeable with these, is at most that with probability at least ``level``, and at most ``level +
    1 / (n + 1)`` if no two are equal.

    Args:
        scores: Shape ``(n,)``; ``n`` may be 0.
        level: In (0, 1).

    Raises:
        ConfigError: ``level`` is outside.
        DataError: Scores are not finite, or not of that shape.
    """
    _check_level(level)
    s = as_floats(scores, "scores")
    if s.ndim != 1:
        raise DataError(f"scores must have shape (n,), one a case, got {s.shape}")
    rank = math.ceil((len(s) + 1) * level * (1 - 1e-12))  # 100 * 0.55 is 55.00000000000001
    return float(np.partition(s, rank - 1)[rank - 1]) if rank <= len(s) else math.inf


class ConformalSets:
    """Sets of classes that contain the true one with a probability of at least ``level``.

    The guarantee is over calibration data and new case together, which must be exchangeable; it is marginal: over
    all cases, not for each class or group. With fewer than ``level / (1 - level)`` cases to calibrate on, every set
    holds all classes.

    Args:
        level: Share of cases whose set contains the truth, in (0, 1).
        score: ``"threshold"``: 1 - probability. The smallest sets on average; empty for a case that is unlike those of
            calibration, if the model is right more often than ``level``. ``"adaptive"``: the probability of all
            classes that are likelier. The likeliest classes until they sum up to enough, so that the harder the case
            the larger its set, and never empty; a model that is right more often than ``level`` gets sets of one class
            and is covered as often as it is right.
        seed: Makes adaptive sets randomised: the least likely class of a set is left out by chance, so that coverage
            is ``level`` exactly, at the price of some empty sets. The same seed gives the same sets
            in the same calls.

    Attributes:
        limit: The largest score of a class in a set; None before :meth:`fit`.

    Reference:
        Sadinle, Lei and Wasserman, JASA 114 (2019), arXiv:1609.00451 (threshold); Romano, Sesia and Candes, NeurIPS
        2020, arXiv:2006.02544, sec. 2 (adaptive; *Departures*: without ``seed`` nothing is drawn, neither in
        calibration nor for new cases).
    """

    def __init__(self, level: float = 0.9, score: str = "threshold", *, seed: int | None = None) -> None:
        _check_level(level)
        if score not in ("threshold", "adaptive"):
            raise ConfigError(f"score must be 'threshold' or 'adaptive', got {score!r}")
        if seed is not None and score != "adaptive":
            raise ConfigError(f"seed makes adaptive sets randomised, it has no use for score={score!r}")
        self.level, self.score, self.seed = level, score, seed
        self.limit: float | None = None
        self._classes = 0
        self._draw: np.random.Generator | None = None

    def __repr__(self) -> str:
        """Show what was asked and found."""
        return f"ConformalSets(level={self.level!r}, score={self.score!r}, limit={_shown(self.limit)})"

    def fit(self, probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> ConformalSets:
        """Calibrate on data that was used for nothing else.

        Args:
            probabilities: Shape ``(n, C)``, rows summing to 1.
            labels: True classes, integers in ``0 .. C-1``, shape ``(n,)``.

        Raises:
            DataError: Bad shapes, values or labels.
        """
        p, y = check_classification(probabilities, labels)
        self._draw = None if self.seed is None else np.random.default_rng(self.seed)
        self.limit = conformal_quantile(self._scores(p)[np.arange(len(y)), y], self.level)
        self._classes = p.shape[1]
        return self

    def sets(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which classes belong to the set of each case, shape ``(N, C)``.

        Args:
            probabilities: Shape ``(N, C)``, rows summing to 1.

        Raises:
            ConfigError: Nothing was fitted.
            DataError: Bad shapes or values, or another number of classes than that of :meth:`fit`.
        """
        if self.limit is None:
            raise ConfigError("the sets are not calibrated yet; call fit() on calibration data first")
        p = check_probabilities(probabilities)
        if p.shape[1] != self._classes:
            raise DataError(
                f"probabilities must be of {self._classes} classes, as those of fit(), got {p.shape[1]}"
            )
        return self._scores(p) <= self.limit

    def _scores(self, p: Floats) -> Floats:
        if self.score == "threshold":
            return 1.0 - p
        order = np.argsort(-p, axis=1, kind="stable")
        ordered = np.take_along_axis(p, order, axis=1)
        likelier = np.cumsum(ordered, axis=1) - ordered
        likelier[:, 0] = 0.0
        if self._draw is not None:
            likelier += self._draw.random((len(p), 1)) * ordered
        scores = np.empty_like(p)
        np.put_along_axis(scores, order, likelier, axis=1)
        return scores


class ConformalIntervals:
    """Intervals around a prediction that contain the target with a probability of at least ``level``.

    Args:
        level: Share of targets inside their interval, in (0, 1).

    Attributes:
        limit: Half the width of an interval, in units of the scale if there is one; None before :meth:`fit`.

    Reference:
        Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 113 (2018), arXiv:1604.04173,
        algorithm 2 and sec. 5.2 (locally weighted).
    """

    def __init__(self, level: float = 0.9) -> None:
        _check_level(level)
        self.level = level
        self.limit: float | None = None
        self._scaled = False

    def __repr__(self) -> str:
        """Show what was asked and found."""
        return f"ConformalIntervals(level={self.level!r}, limit={_shown(self.limit)})"

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
            raise DataError(
                f"prediction and target must both have shape (n,), got {p.shape} and {t.shape}; calibrate each output "
                "by itself, prediction[:, 0] and so on"
            )
        self.limit = conformal_quantile(np.abs(t - p) / _scale(scale, p), self.level)
        self._scaled = scale is not None
        return self

    def intervals(
        self, prediction: npt.ArrayLike, scale: npt.ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        """Return the lower and the upper ends, shape ``(N,)`` each; infinite if calibrated on too few cases.

        Args:
            prediction: Shape ``(N,)``.
            scale: As in :meth:`fit`, if one was given there.

        Raises:
            ConfigError: Nothing was fitted, or only one of the two had a scale.
            DataError: Bad values, or a scale that is not positive.
        """
        if self.limit is None:
            raise ConfigError("the intervals are not calibrated yet; call fit() on calibration data first")
        if self._scaled != (scale is not None):
            which = (
                "with a scale and intervals() without"
                if self._scaled
                else "without a scale and intervals() with"
            )
            raise ConfigError(f"fit() was called {which}; give it to both or to neither")
        p = as_floats(prediction, "prediction")
        half = self.limit * _scale(scale, p)
        return p - half, p + half


def _shown(limit: float | None) -> str:
    return "None" if limit is None else f"{limit:.4g}"


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level must be in (0, 1), got {level!r}")


def _scale(scale: npt.ArrayLike | None, like: Floats) -> Floats:
    if scale is None:
        return np.ones_like(like)
    s = as_floats(scale, "scale")
    if s.shape != like.shape or (s <= 0).any():
        raise DataError(f"scale must be positive and of shape {like.shape}, got shape {s.shape}")
    return s
