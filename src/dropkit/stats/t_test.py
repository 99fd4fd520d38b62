"""The paired t-test, plain and corrected for overlapping splits, on any number of data sets at once."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from dropkit.stats.inputs import Floats

Flags = npt.NDArray[np.bool_]


class PairedT(NamedTuple):
    """Paired t-tests; every array has the leading shape of the data sets.

    Args:
        n: Pairs in each data set.
        difference: Mean of ``treatment - baseline``.
        sd: Sample standard deviation of the differences (ddof = 1).
        error: Standard error of ``difference``.
        p: Two-sided p-value.
        constant: All differences of a set are equal, so that ``sd`` is 0 and tells nothing.
    """

    n: int
    difference: Floats
    sd: Floats
    error: Floats
    p: Floats
    constant: Flags


def rounding(baseline: Floats, treatment: Floats) -> Floats:
    """Return the size below which differences between these numbers are rounding errors."""
    size = np.maximum(np.abs(baseline).max(axis=-1), np.abs(treatment).max(axis=-1))
    limits = np.finfo(np.float64)
    return np.asarray(np.maximum(4.0 * limits.eps * size, limits.tiny))


def paired_t(baseline: Floats, treatment: Floats, test_train_ratio: float = 0.0) -> PairedT:
    """Test whether the mean of ``treatment - baseline`` is 0, over the last axis.

    ``t = difference / (sd * sqrt(1 / n + ratio))`` with ``n - 1`` degrees of freedom. Ratio 0 is Student's
    test of independent differences. For ``n`` random splits of one data set, ``ratio = n_test / n_train`` makes
    it exact for normal differences with correlation ``n_test / (n_test + n_train)``, which is what overlapping
    training sets are taken to cause.

    Equal differences leave nothing to estimate an sd from, and t would be infinite. Then p is not 0 but: 1 if
    they are 0; otherwise the exact sign-flip p, ``2**(1 - n)``, or 1 under a ratio, where signs are dependent.

    Args:
        baseline: Finite results, shape ``(..., n)``, ``n >= 2``.
        treatment: The same, broadcastable; the pairs share their last index.
        test_train_ratio: Size of the test part over that of the training part, ``>= 0``.

    Reference:
        Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003), section 3.
    """
    differences = treatment - baseline
    n = differences.shape[-1]
    smallest = rounding(baseline, treatment)
    size = np.abs(differences).max(axis=-1)
    zero = size <= smallest
    constant = (np.ptp(differences, axis=-1) <= smallest) | zero
    unit = np.where(size > 0.0, size, 1.0)  # squares of tiny or huge differences must not under- or overflow
    scaled = differences / unit[..., None]
    mean = np.where(zero, 0.0, scaled.mean(axis=-1))
    sd = np.where(constant, 0.0, scaled.std(axis=-1, ddof=1))
    error = sd * np.sqrt(1.0 / n + test_train_ratio)
    t = np.abs(mean) / np.where(constant, 1.0, error)
    equal_p = 1.0 if test_train_ratio else 2.0 ** (1 - n)
    p = np.where(zero, 1.0, np.where(constant, equal_p, np.minimum(1.0, 2.0 * special.stdtr(n - 1, -t))))
    return PairedT(n, mean * unit, sd * unit, error * unit, p, constant)


def interval(test: PairedT, alpha: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the limits of the ``1 - alpha`` intervals: they leave out 0 exactly where ``p < alpha``.

    For equal differences that is the single point, if they are 0 or ``p < alpha``, else the whole line.

    Args:
        test: The tests to invert.
        alpha: Level, in (0, 1), broadcastable to the shape of the tests.
    """
    level = np.asarray(alpha, dtype=np.float64)
    half = special.stdtrit(test.n - 1, 1.0 - level / 2.0) * test.error
    unknown = test.constant & (test.difference != 0.0) & (test.p >= level)
    half = np.where(unknown, np.inf, half)
    return test.difference - half, test.difference + half
