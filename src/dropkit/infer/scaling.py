"""Calibration after training: temperature and vector scaling of logits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

from dropkit.core import DataError
from dropkit.stats.inputs import Floats, Integers, as_floats

_WIDEST = 7.0  # of log T: between 1/1096 and 1096


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

    def fit(self, logits: npt.ArrayLike, labels: npt.ArrayLike) -> TemperatureScaling:
        """Choose the temperature by maximum likelihood.

        Args:
            logits: Shape ``(N, C)``; logarithms of probabilities will do.
            labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.

        Raises:
            DataError: Bad shapes, values or labels.
        """
        z, y = check_logits(logits, labels)

        def loss(log_t: float) -> float:
            return -float(log_softmax(z * np.exp(-log_t), axis=1)[np.arange(len(y)), y].mean())

        found = minimize_scalar(loss, bounds=(-_WIDEST, _WIDEST), method="bounded", options={"xatol": 1e-10})
        self.temperature = float(np.exp(found.x))
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
        """Choose weights and biases; see :meth:`TemperatureScaling.fit`."""
        z, y = check_logits(logits, labels)
        count, classes = z.shape
        target = np.eye(classes)[y]

        def loss(parameters: Floats) -> tuple[float, Floats]:
            weight, bias = parameters[:classes], parameters[classes:]
            log_p = log_softmax(z * weight + bias, axis=1)
            slope = (np.exp(log_p) - target) / count
            value = -float((log_p * target).sum()) / count
            return value, np.concatenate(((slope * z).sum(axis=0), slope.sum(axis=0)))

        start = np.concatenate((np.ones(classes), np.zeros(classes)))
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})
        self.weight, self.bias = found.x[:classes], found.x[classes:] - found.x[classes:].mean()
        return self

    def probabilities(self, logits: npt.ArrayLike) -> Floats:
        """Return calibrated probabilities, shape ``(N, C)``."""
        return np.asarray(softmax(as_floats(logits, "logits") * self.weight + self.bias, axis=-1))


def check_logits(logits: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Integers]:
    """Return logits, shape ``(N, C)``, and labels, shape ``(N,)``, or raise ``DataError``."""
    z, y = as_floats(logits, "logits"), np.asarray(labels)
    if z.ndim != 2 or z.shape[0] < 1 or z.shape[1] < 2:
        raise DataError(f"logits must have shape (N, C) with N >= 1 and C >= 2, got {z.shape}")
    if not np.issubdtype(y.dtype, np.integer) or y.shape != z.shape[:1]:
        raise DataError(f"labels must be integers of shape ({len(z)},), got {y.dtype} of shape {y.shape}")
    if y.min() < 0 or y.max() >= z.shape[1]:
        raise DataError(f"labels must be in 0 .. {z.shape[1] - 1}, got {y.min()} to {y.max()}")
    return z, y.astype(np.int64)
