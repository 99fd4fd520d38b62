"""Calibration after training: temperature and vector scaling of logits."""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize
from scipy.special import log_softmax, softmax

from dropkit.core import DataError
from dropkit.stats.inputs import SUM_TOLERANCE, Floats, Integers, as_array, as_floats, check_labels

_SURE = 40.0  # exp(-40) is nothing beside 1 in float64: sharper than that, probabilities are 0 or 1
_FLAT = 1e3  # a temperature that many times the largest gap makes all classes as good as equally likely


class TemperatureScaling:
    """Divide logits by one number, chosen to make the validation labels as likely as possible.

    The predicted class never changes. Fit on validation data that the model was not trained on.

    Attributes:
        temperature: The number, above 0; 1 before :meth:`fit`. Above 1: the model was too sure of itself.

    Reference:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599, eq. 9.
    """

    def __init__(self) -> None:
        self.temperature = 1.0

    def __repr__(self) -> str:
        """Show the temperature."""
        return f"TemperatureScaling(temperature={self.temperature:.4g})"

    def fit(self, logits: npt.ArrayLike, labels: npt.ArrayLike) -> TemperatureScaling:
        """Choose the temperature by maximum likelihood.

        There is no best temperature where every label is the class of the largest logit (the smaller the better), or
        where the labels' logits are no larger than the others (the larger the better). A warning says so, and the
        temperature is one at which probabilities are 0 or 1, or all equal. Where logits say nothing, being equal
        within every row, it is 1.

        Args:
            logits: Shape ``(N, C)``; logarithms of probabilities will do, if no probability is 0.
            labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.

        Raises:
            DataError: Bad shapes, values or labels; or probabilities instead of logits.
        """
        z, y = check_logits(logits, labels)
        gaps = z.max(axis=1, keepdims=True) - z
        truth = gaps[np.arange(len(y)), y]
        if not gaps.any():
            self.temperature = 1.0
            return self

        def slope(log_t: float) -> float:  # of the negative log likelihood, which is convex in 1 / T
            p = softmax(-gaps * math.exp(-log_t), axis=1)
            return float((truth - (p * gaps).sum(axis=1)).mean())

        low, high = math.log(gaps[gaps > 0].min() / _SURE), math.log(gaps.max() * _FLAT)
        if not truth.any():
            _warn(
                "every label is the predicted class, so that no temperature is too low; use more or harder cases"
            )
            high = low
        elif slope(high) >= 0.0:
            _warn("the labels' logits are no larger than the others, so that no temperature is too high")
            low = high
        self.temperature = math.exp(low if low == high else float(brentq(slope, low, high, xtol=1e-12)))
        return self

    def probabilities(self, logits: npt.ArrayLike) -> Floats:
        """Return calibrated probabilities, shape ``(N, C)``."""
        return np.asarray(softmax(as_floats(logits, "logits") / self.temperature, axis=-1))


class VectorScaling:
    """Multiply each class's logit by a number of its own and add another, both by maximum likelihood.

    Attributes:
        weight: Shape ``(C,)``.
        bias: Shape ``(C,)``, of mean 0, since a common summand changes nothing.

    Reference:
        Guo et al., ICML 2017, arXiv:1706.04599, sec. 4.2.
    """

    def __init__(self) -> None:
        self.weight: Floats = np.ones(1)
        self.bias: Floats = np.zeros(1)

    def fit(self, logits: npt.ArrayLike, labels: npt.ArrayLike) -> VectorScaling:
        """Choose weights and biases by maximum likelihood.

        There are no best ones where some of them get every label right, or where a class does not occur among the
        labels (the lower its bias the better). A warning says so; weights and biases are then where the search
        stopped.

        Args:
            logits: Shape ``(N, C)``; logarithms of probabilities will do, if no probability is 0.
            labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.

        Raises:
            DataError: Bad shapes, values or labels; or probabilities instead of logits.
        """
        z, y = check_logits(logits, labels)
        count, classes = z.shape
        rows = np.arange(count)
        centre, spread = z.mean(axis=0), z.std(axis=0)
        spread[spread == 0.0] = 1.0
        z = (z - centre) / spread  # one step length then suits all parameters

        def loss(parameters: Floats) -> tuple[float, Floats]:
            weight, bias = parameters[:classes], parameters[classes:]
            log_p = log_softmax(z * weight + bias, axis=1)
            slope = np.exp(log_p)
            slope[rows, y] -= 1.0
            slope /= count
            return -float(log_p[rows, y].mean()), np.concatenate(((slope * z).sum(axis=0), slope.sum(axis=0)))

        found = minimize(
            loss,
            np.zeros(2 * classes),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-10, "gtol": 1e-6, "maxcor": 20},
        )
        weight, bias = found.x[:classes], found.x[classes:]
        absent = np.setdiff1d(np.arange(classes), y)
        if ((z * weight + bias).argmax(axis=1) == y).all():
            _warn(
                "weights and biases can get every label right, so that none are best; use more or harder cases"
            )
        elif len(absent):
            _warn(
                f"{len(absent)} of {classes} classes do not occur among the labels, so that no bias is best for them"
            )
        self.weight = weight / spread
        bias -= self.weight * centre
        self.bias = bias - bias.mean()
        return self

    def probabilities(self, logits: npt.ArrayLike) -> Floats:
        """Return calibrated probabilities, shape ``(N, C)``; raises ``DataError`` for another number of classes."""
        z = as_floats(logits, "logits")
        if z.shape[-1:] != self.weight.shape and len(self.weight) > 1:
            raise DataError(
                f"logits must have {len(self.weight)} classes, as those of fit(), got shape {z.shape}"
            )
        return np.asarray(softmax(z * self.weight + self.bias, axis=-1))


def check_logits(logits: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Integers]:
    """Return logits, shape ``(N, C)``, and labels, shape ``(N,)``, or raise ``DataError``."""
    given = as_array(logits, "logits")
    if np.issubdtype(given.dtype, np.floating) and np.isneginf(given).any():
        raise DataError(
            "logits must be finite, got -inf, the logarithm of a probability of 0; "
            "take probabilities.clip(1e-12).log()"
        )
    z = as_floats(given, "logits")
    if z.ndim != 2 or z.shape[0] < 1 or z.shape[1] < 2:
        raise DataError(f"logits must have shape (N, C) with N >= 1 and C >= 2, got {z.shape}")
    told = np.ptp(z) > 0.0 and not ((z == 0.0) | (z == 1.0)).all()  # not all equal, nor one-hot
    if told and len(z) > 1 and z.min() >= 0.0 and (abs(z.sum(axis=1) - 1.0) < SUM_TOLERANCE).all():
        raise DataError("logits are wanted, got rows of probabilities, which sum to 1; give their logarithms")
    return z, check_labels(labels, z, "logits")


def _warn(text: str) -> None:
    warnings.warn(f"calibration: {text}", stacklevel=3)
