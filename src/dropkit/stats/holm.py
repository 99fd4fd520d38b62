"""Holm's correction: several decisions taken together, with a rare false claim among all of them."""

import numpy as np
import numpy.typing as npt

from dropkit.stats.inputs import Floats, check_alpha


def holm(p: npt.ArrayLike, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Adjust p-values for ``m`` decisions taken together, over the last axis.

    The ``k``-th smallest p is multiplied by ``m - k + 1``, and no adjusted p may be below that of a smaller p.
    Whatever the dependence between the tests, a true null hypothesis is rejected with probability at most
    ``alpha`` over all of them.

    The second result is the level at which each single test was decided, so that the ``1 - level`` interval of a
    row leaves out 0 exactly where its adjusted p is below ``alpha``: for a rejected row
    ``alpha / (m - k + 1)`` with ``k`` its rank (the smallest of those that tie with it); for every other row
    ``alpha / (m - r)``, with ``r`` the number of rejected rows, the level at which the procedure stopped.
    Each interval has its nominal coverage on its own. They are not simultaneous; for that, use ``alpha / m``.

    Args:
        p: P-values, shape ``(..., m)``.
        alpha: Family-wise level, in (0, 1).

    Returns:
        Adjusted p-values and levels, each of the shape of ``p``.

    Reference:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statistics 6 (1979).
    """
    values, family = np.asarray(p, dtype=np.float64), check_alpha(alpha)
    m = values.shape[-1]
    order = np.argsort(values, axis=-1)
    raised = np.take_along_axis(values, order, axis=-1) * (m - np.arange(m))
    adjusted = np.empty_like(values)
    stepped = np.minimum(1.0, np.maximum.accumulate(raised, axis=-1))
    np.put_along_axis(adjusted, order, stepped, axis=-1)
    rejected = adjusted < family
    smaller = (values[..., None, :] < values[..., :, None]).sum(axis=-1)
    stop = rejected.sum(axis=-1, keepdims=True)
    level = family / (m - np.where(rejected, smaller, stop))
    return adjusted, level
