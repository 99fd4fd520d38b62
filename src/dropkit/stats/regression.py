"""Metrics of a regressor's predictions."""

import numpy as np
import numpy.typing as npt

from dropkit.core import DataError
from dropkit.stats.inputs import Floats, as_floats


def regression_metrics(
    prediction: npt.ArrayLike, target: npt.ArrayLike, *, variance: npt.ArrayLike | None = None
) -> dict[str, float]:
    """Score predictions of one or more real targets; with ``k`` columns each metric is their plain mean.

    With residuals ``r = target - prediction``: ``rmse = sqrt(mean(r**2))``, ``mae = mean(|r|)``,
    ``r2 = 1 - sum(r**2) / sum((target - mean(target))**2)``, and the Gaussian
    ``nll = mean(log(2 pi v) + r**2 / v) / 2`` in nats.

    Args:
        prediction: Shape ``(N,)`` or ``(N, k)``.
        target: The same shape.
        variance: Predicted variance ``v > 0``, the same shape, or one number. Default: for each column the
            mean squared residual, hence ``nll = log(2 pi e * mse) / 2``, the least that any constant variance
            reaches *on this data*. That serves to compare models that predict no variance; it is not a fair
            rival to a predicted variance, as it was fitted to the targets that it is scored on.

    Returns:
        ``rmse``, ``mae``, ``r2``, ``nll``. As in scikit-learn, a constant target gives ``r2`` 1 for perfect
        and 0 for other predictions. ``r2`` of a single row is NaN. A default variance of 0 is taken as the
        smallest positive float64, so that ``nll`` stays finite.

    Raises:
        DataError: NaN, shapes that differ, no rows, a variance that is not positive.
    """
    mean, y = as_floats(prediction, "prediction"), as_floats(target, "target")
    if mean.shape != y.shape:
        raise DataError(f"prediction and target must have the same shape, got {mean.shape} and {y.shape}")
    if y.ndim not in (1, 2) or y.size == 0:
        raise DataError(
            f"prediction and target must have shape (N,) or (N, k) and not be empty, got {y.shape}"
        )
    residual, y = (y - mean).reshape(len(y), -1), y.reshape(len(y), -1)
    mse = np.square(residual).mean(axis=0)
    if variance is None:
        v: Floats = np.maximum(mse, np.finfo(np.float64).tiny)
    else:
        v = as_floats(variance, "variance")
        if v.ndim and v.shape != mean.shape:
            raise DataError(f"variance must be one number or have shape {mean.shape}, got {v.shape}")
        if v.min() <= 0.0:
            raise DataError(f"variance must be positive, got {v.min():g}")
        v = v.reshape(len(y), -1) if v.ndim else v
    return {
        "rmse": float(np.sqrt(mse).mean()),
        "mae": float(np.abs(residual).mean()),
        "r2": _r2(residual, y),
        "nll": float((np.log(2.0 * np.pi * v) + np.square(residual) / v).mean() / 2.0),
    }


def _r2(residual: Floats, target: Floats) -> float:
    if len(target) < 2:
        return float("nan")
    unexplained = np.square(residual).sum(axis=0)
    total = np.square(target - target.mean(axis=0)).sum(axis=0)
    constant = total == 0.0
    score = 1.0 - unexplained / np.where(constant, 1.0, total)
    return float(np.where(constant, np.where(unexplained == 0.0, 1.0, 0.0), score).mean())
