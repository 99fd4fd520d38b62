"""The normalised geometric mean of distributions, which weight scaling approximates."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import DataError

_SLACK = 1e-2  # by which those of half precision may be off


def geometric_mean(probabilities: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the normalised geometric mean of members' class probabilities.

    ``prod_t p_tk ** w_t``, divided by its sum over the classes ``k``.

    Args:
        probabilities: Of ``T`` members, shape ``(T, *, C)``, in ``[0, 1]``.
        weights: Of the members, shape ``(T,)``, at least 0, divided by their sum here; None: equal.

    Returns:
        Tensor: Shape ``(*, C)``; NaN where every class has probability 0 in some member.

    Raises:
        DataError: The shapes do not fit, or there is no positive weight.

    Reference:
        Srivastava et al., JMLR 15 (2014), sec. 10; Baldi and Sadowski, "Understanding Dropout", NeurIPS 2013, eq. 6.
    """
    if probabilities.ndim < 2 or not probabilities.is_floating_point() or not len(probabilities):
        raise DataError(
            f"probabilities must be floating point of shape (T, *, C) with T >= 1, got {probabilities.dtype} of shape "
            f"{tuple(probabilities.shape)}"
        )
    if not bool(((probabilities >= 0) & (probabilities <= 1 + _SLACK)).all()):  # NaN included
        raise DataError("probabilities must be in [0, 1]; of logits take softmax first")
    given = torch.ones(len(probabilities)) if weights is None else weights
    if given.shape != probabilities.shape[:1] or not bool((given >= 0).all()) or not float(given.sum()) > 0:
        raise DataError(
            f"weights must be {len(probabilities)} numbers of at least 0 with a positive sum, got shape "
            f"{tuple(given.shape)}"
        )
    share = (given / given.sum()).to(probabilities).view(-1, *[1] * (probabilities.ndim - 1))
    logs = torch.where(share > 0, share * probabilities.log(), 0.0)  # a member of weight 0 has no say
    return logs.sum(0).softmax(-1)
