"""Augment-REINFORCE-Merge: a gradient without bias for the rates of hard masks, from two opposite passes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dropkit.core import NoMatchError, ShapeError
from dropkit.nn import LearnableBernoulli
from dropkit.nn.learned.antithetic import Draw, antithetic


def arm(model: nn.Module, loss: Callable[[], Tensor]) -> Tensor:
    """Return the loss, with a gradient that reaches the rates of every ``LearnableBernoulli`` in ``model``.

    ``loss`` is called twice. Both times the modules compare the same uniform numbers ``u`` with their rates ``r``: the
    first time, without gradients, ``u > r`` is kept, the second time ``u < 1 - r``. For a logit ``g`` of ``r`` the
    gradient of the expected loss has the estimate ``(loss2 - loss1) * (u - 1/2)``, plus that
    through the factor ``1 / (1 - r)`` in the second pass; it has no bias. All other parameters get the gradient of
    the second pass, whose masks are ordinary ones.

    Other random modules draw anew in each pass, which adds variance and no bias; batch norm sees the batch twice.

    Args:
        model: Holds the modules, in training mode.
        loss: Computes the loss of a batch by ``model``: 0-d, or one value a sample, shape ``(N,)``, whose mean is
            taken. The latter has less variance, where no sample's loss depends on another's mask.

    Returns:
        The loss of the second pass, a 0-d tensor; call ``backward()`` on it.

    Raises:
        NoMatchError: No ``LearnableBernoulli`` in training mode is inside ``model``, or ``loss`` calls none.
        StreamError: The second call of ``loss`` makes other calls than the first.
        ShapeError: ``loss`` returns neither shape.

    Reference:
        Yin & Zhou, "ARM: Augment-REINFORCE-Merge Gradient for Stochastic Binary Networks", ICLR 2019, theorem 1,
        arXiv:1807.11143; Boluki et al., AISTATS 2020, eq. 8, arXiv:2002.05155. *Departures*: the term for the factor
        ``1 / (1 - r)``, which theirs do not have.
    """
    if not any(isinstance(module, LearnableBernoulli) and module.training for module in model.modules()):
        raise NoMatchError(f"{type(model).__name__} has no LearnableBernoulli in training mode")
    with antithetic() as passes:
        with torch.no_grad():
            first = loss()
        passes.second = True
        second = loss()
        passes.check_complete()
    if not passes.draws:
        raise NoMatchError("the loss does not use a LearnableBernoulli of the model in training mode")
    if second.ndim > 1:
        raise ShapeError(f"arm needs a loss of shape () or (N,), got {tuple(second.shape)}")
    difference = (second - first).detach()
    estimate = torch.stack([_estimate(draw, difference) for draw in passes.draws]).sum()
    return second.mean() + (estimate - estimate.detach())


def _estimate(draw: Draw, difference: Tensor) -> Tensor:
    """Return a 0-d tensor whose gradient by the logit is the estimate for one call."""
    weight = draw.uniform - 0.5
    if difference.ndim == 0:
        return (difference * weight * draw.logit).sum()
    if len(weight) != len(difference):
        raise ShapeError(f"a loss a sample needs {len(weight)} values for this batch, got {len(difference)}")
    each = difference.view(-1, *[1] * (weight.ndim - 1)) * weight * draw.logit
    return each.sum() / len(difference)
