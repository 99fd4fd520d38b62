"""Expectation-linear dropout: a pass with dropout should predict what the pass without it does."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.objectives.outputs import check_coefficient, check_outputs


def expectation_linear(x: Tensor, mean: Tensor) -> Tensor:
    """Return the mean over samples of ``||x - mean||**2``, between a pass with dropout and one without.

    Over masks it is the variance of the output plus the square of its bias, the gap between training and inference.
    Computed in fp32 (fp64 for fp64).

    Args:
        x: Outputs of a pass with dropout, shape ``(N, *)``.
        mean: Outputs of a pass without, of the same shape; both get gradients.

    Returns:
        A 0-d tensor of the dtype of ``x``.

    Raises:
        DtypeError: An input is not floating point.
        ShapeError: The shapes differ, or there is no sample.

    Reference:
        Ma et al., "Dropout with Expectation-linear Regularization", ICLR 2017, arXiv:1609.08017, sec. 4.
        *Departures*: one pass with dropout, and so the mean square (theirs: the square of the mean over masks, which
        it bounds from above; the form in sec. 3 of Zolna et al., arXiv:1711.00066).
    """
    check_outputs("expectation_linear", x, mean)
    wide = torch.promote_types(x.dtype, torch.float32)
    return (x.to(wide) - mean.to(wide)).square().sum().div(len(x)).to(x.dtype)


class ExpectationLinear(nn.Module):
    """Module form of :func:`dropkit.objectives.expectation_linear`, times ``weight``.

    ``EvalPass(ExpectationLinear(weight))`` adds it to the loss of a run.

    Args:
        weight: Coefficient, at least 0.

    Raises:
        OptionError: ``weight`` is negative or not finite.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = check_coefficient("weight", weight)

    def forward(self, x: Tensor, mean: Tensor) -> Tensor:
        """Return the penalty of the outputs with dropout and of those without, both of shape ``(N, *)``."""
        return self.weight * expectation_linear(x, mean)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"weight={self.weight:g}"


register(
    Variant(
        name="expectation_linear",
        family="objectives",
        kind="objective",
        op=expectation_linear,
        module=ExpectationLinear,
        paper='Ma et al., "Dropout with Expectation-linear Regularization", ICLR 2017, arXiv:1609.08017',
        year=2017,
        law="weight mean over samples of ||x - m||^2, between outputs with dropout and without",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (ExpectationLinear(), (torch.linspace(-1.0, 1.0, 12).view(4, 3), torch.ones(4, 3))),
    )
)
