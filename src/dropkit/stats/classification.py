"""Metrics of a classifier's predicted probabilities."""

import numpy as np
import numpy.typing as npt

from dropkit.stats.calibration import grouped, mean_gap
from dropkit.stats.inputs import Floats, Integers, check_classification


def classification_metrics(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float]:
    """Score predicted class probabilities; the class with the largest one is the prediction.

    With ``p`` the probabilities and ``y`` the labels, means being over the ``N`` rows:
    ``accuracy`` and ``error = 1 - accuracy``; ``nll = mean(-log p[y])`` in nats, with ``p`` clipped to
    ``[eps, 1 - eps]`` of float64, so that it is finite; ``brier = mean(sum_c (p[c] - [y = c])**2)``, the sum
    over *all* classes, in ``[0, 2]`` (for two classes twice the one-column form);
    ``ece``: :func:`expected_calibration_error` with 15 bins; ``macro_precision``, ``macro_recall``,
    ``macro_f1``: plain means of :func:`per_class` over the classes that occur among labels or predictions.

    Args:
        probabilities: Shape ``(N, C)``, in ``[0, 1]``, rows summing to 1 within 1e-4.
        labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.

    Raises:
        DataError: NaN, shapes that differ, labels out of range, rows that do not sum to 1.

    Reference:
        Brier, Monthly Weather Review 78 (1950). Elsewhere the conventions are scikit-learn's.
    """
    p, y = check_classification(probabilities, labels)
    predicted = p.argmax(axis=1)
    accuracy = float(np.mean(predicted == y))
    eps = np.finfo(np.float64).eps
    of_truth = np.clip(p[np.arange(len(y)), y], eps, 1.0 - eps)
    precision, recall, f1 = _precision_recall_f1(predicted, y, p.shape[1])
    occurs = np.union1d(predicted, y)
    return {
        "accuracy": accuracy,
        "error": float(np.mean(predicted != y)),
        "nll": float(-np.log(of_truth).mean()),
        "brier": float(np.square(p - np.eye(p.shape[1])[y]).sum(axis=1).mean()),
        "ece": mean_gap(grouped(p.max(axis=1), predicted == y, 15, "equal-width")),
        "macro_precision": float(precision[occurs].mean()),
        "macro_recall": float(recall[occurs].mean()),
        "macro_f1": float(f1[occurs].mean()),
    }


def per_class(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, list[float]]:
    """Return precision, recall and F1 of each of the ``C`` classes; 0 where the denominator is 0.

    ``precision = tp / (tp + fp)``, ``recall = tp / (tp + fn)``, ``f1 = 2 tp / (2 tp + fp + fn)``.

    Args:
        probabilities: Shape ``(N, C)``, rows summing to 1.
        labels: True classes, integers in ``0 .. C-1``, shape ``(N,)``.

    Returns:
        ``{"precision": [...], "recall": [...], "f1": [...]}``, each of length ``C``.

    Raises:
        DataError: As for :func:`classification_metrics`.
    """
    p, y = check_classification(probabilities, labels)
    precision, recall, f1 = _precision_recall_f1(p.argmax(axis=1), y, p.shape[1])
    return {"precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist()}


def _precision_recall_f1(
    predicted: npt.NDArray[np.intp], labels: Integers, classes: int
) -> tuple[Floats, Floats, Floats]:
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    claimed = np.bincount(predicted, minlength=classes)
    present = np.bincount(labels, minlength=classes)
    # Where a denominator is 0 the numerator is 0 too, so dividing by 1 instead gives the 0 that is promised.
    precision = hits / np.maximum(claimed, 1)
    recall = hits / np.maximum(present, 1)
    return precision, recall, 2.0 * hits / np.maximum(claimed + present, 1)
