"""The option not to answer: which cases to leave to somebody else, and what that costs."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dropkit.stats.inputs import check_positive, check_threshold
from dropkit.stats.selective import check_pair, risk_coverage


class Abstention(NamedTuple):
    """A rule "answer if the uncertainty is at most ``value``", and how it did where it was chosen.

    Args:
        value: The largest uncertainty that is answered; minus infinity if it is best to answer nothing.
        coverage: Share of the cases answered.
        risk: Mean loss of those answered; NaN if none is.
        cost: Mean cost a case, abstaining included.
    """

    value: float
    coverage: float
    risk: float
    cost: float


def abstention_cost(
    uncertainty: npt.ArrayLike, loss: npt.ArrayLike, threshold: float, *, price: float
) -> float:
    """Return the mean cost a case: the loss of a case that is answered, ``price`` for one that is not.

    Args:
        uncertainty: Larger means less sure, shape ``(N,)``: an entropy, a mutual information, 1 - confidence.
        loss: Cost of answering, shape ``(N,)``: 0 and 1 for right and wrong, or :func:`case_costs`.
        threshold: The largest uncertainty that is answered.
        price: Cost of not answering, above 0, in the unit of ``loss``.

    Raises:
        DataError: Shapes differ, values are not finite, or the price is not positive.
    """
    u, losses = check_pair(uncertainty, loss)
    return float(np.where(u <= check_threshold(threshold), losses, check_positive(price, "price")).mean())


def choose_abstention(uncertainty: npt.ArrayLike, loss: npt.ArrayLike, *, price: float) -> Abstention:
    """Return the rule of least mean cost. Choose it on validation data, and report it on test data.

    With probabilities that can be trusted, ``1 - confidence`` as uncertainty and a loss of 0 and 1, it approaches
    Chow's rule: answer where the probability of a mistake is at most ``price``.

    Args:
        uncertainty: Larger means less sure, shape ``(N,)``.
        loss: Cost of answering, shape ``(N,)``.
        price: Cost of not answering, above 0, in the unit of ``loss``.

    Returns:
        Abstention: of equal ones the rule that answers most. Cases of equal uncertainty are treated alike.

    Raises:
        DataError: As for :func:`abstention_cost`.

    Reference:
        Chow, "On optimum recognition error and reject tradeoff", IEEE Trans. Information Theory 16 (1970).
    """
    cost = check_positive(price, "price")
    found = risk_coverage(uncertainty, loss)
    costs = found.coverage * found.risk + (1.0 - found.coverage) * cost
    best = len(costs) - 1 - int(np.argmin(costs[::-1]))
    if cost < costs[best]:
        return Abstention(float("-inf"), 0.0, float("nan"), cost)
    return Abstention(
        float(found.threshold[best]), float(found.coverage[best]), float(found.risk[best]), float(costs[best])
    )
