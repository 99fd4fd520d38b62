"""Isotonic calibration: any increasing function of a probability."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from dropkit.core import ConfigError, DataError
from dropkit.stats.inputs import Floats, check_classification, check_probabilities


class IsotonicCalibration:
    """Map each class's probability by the increasing function that fits best, then make rows sum to 1.

    More flexible than a temperature, and in need of more data: about a thousand validation cases. Where all mapped
    probabilities of a row are 0, the row becomes uniform.

    Reference:
        Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD
        2002, doi:10.1145/775047.775151.
    """

    def __init__(self) -> None:
        self._maps: list[tuple[Floats, Floats]] = []

    def fit(self, probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> IsotonicCalibration:
        """Fit one function a class, by least squares.

        Args:
            probabilities: Shape ``(N, C)``, rows summing to 1.
            labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.

        Raises:
            DataError: Bad shapes, values or labels.
        """
        p, y = check_classification(probabilities, labels)
        self._maps = []
        for c in range(p.shape[1]):
            values, group = np.unique(p[:, c], return_inverse=True)
            count = np.bincount(group)
            share = np.bincount(group, weights=(y == c)) / count
            self._maps.append((values, isotonic_regression(share, weights=count).x))
        return self

    def probabilities(self, probabilities: npt.ArrayLike) -> Floats:
        """Return calibrated probabilities, shape ``(N, C)``; between fitted values the map is linear.

        Raises:
            ConfigError: Nothing was fitted.
            DataError: Bad shapes or values, or another number of classes than that of :meth:`fit`.
        """
        p = check_probabilities(probabilities)
        if not self._maps:
            raise ConfigError("the maps are not fitted yet; call fit() on validation data first")
        if p.shape[1] != len(self._maps):
            raise DataError(
                f"probabilities must be of {len(self._maps)} classes, as those of fit(), got {p.shape[1]}"
            )
        mapped = np.stack(
            [np.interp(p[:, c], values, heights) for c, (values, heights) in enumerate(self._maps)], axis=1
        )
        total = mapped.sum(axis=1, keepdims=True)
        return np.where(total > 0, mapped / np.where(total > 0, total, 1.0), 1.0 / p.shape[1])
