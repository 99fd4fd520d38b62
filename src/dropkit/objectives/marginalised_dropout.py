"""Marginalised dropout: the loss of a linear model in expectation over all masks, in closed form."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dropkit.core import OptionError, RateError, ShapeError, Variant, register
from dropkit.nn.module import RateModule
from dropkit.nn.units.linear import check_linear
from dropkit.ops import fast_dropout_moments
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input

Loss = Literal["quadratic", "exponential", "logistic"]


def marginalised_dropout(
    x: Tensor,
    rate: Rate,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    target: Tensor,
    loss: Loss = "quadratic",
) -> Tensor:
    """Return the loss of a linear model, in expectation over dropout of its input, without drawing a mask.

    With ``y = W d(x) + b``, ``d(x) = x / (1 - rate)`` or, with probability ``rate``, 0 for each input, and ``t`` the
    target, summed over outputs ``k`` and averaged over samples::

        quadratic    E[(t - y)**2]   = (t - W x - b)**2 + rate / (1 - rate) * sum_j W_kj**2 x_j**2
        exponential  E[exp(-t y)]    = exp(-t b) * prod_j (rate + (1 - rate) * exp(-t W_kj x_j / (1 - rate)))
        logistic     log(1 + E[exp(-t y)]), an upper bound of E[log(1 + exp(-t y))]

    The quadratic loss is that of ridge regression with a penalty of ``rate / (1 - rate) * sum_n x_nj**2`` on each
    squared weight.

    Args:
        x: Shape ``(*, inputs)``, floating point. Never modified.
        rate: Probability (dimensionless, per input) of *dropping*, in ``[0, 1)``; a tensor broadcasts over ``x``.
        weight: Shape ``(outputs, inputs)``.
        bias: Shape ``(outputs,)``, or None.
        target: Shape ``(*, outputs)``; -1 or 1 for the exponential and the logistic loss.
        loss: ``"quadratic"``, ``"exponential"`` or ``"logistic"``; the latter two need memory for ``(*, outputs,
            inputs)``.

    Returns:
        A 0-d tensor, dtype and device of ``x``, differentiable in everything but ``rate``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1)``, where the loss is infinite, or NaN.
        ShapeError: ``target`` has another shape than the output.
        OptionError: ``loss`` is none of these words.
        DtypeError: ``x`` is not floating point.

    Reference:
        Van der Maaten, Chen, Tyree and Weinberger, "Learning with Marginalized Corrupted Features", ICML 2013, PMLR
        28(1), sec. 3, blankout corruption; "Marginalizing Corrupted Features", arXiv:1402.7001. *Departures*: the
        mean over samples (theirs: the sum).
    """
    check_loss(loss)
    used = check_input("marginalised_dropout", x, rate)
    if isinstance(used, float) and used == 1.0:
        raise RateError("marginalised_dropout needs a rate in [0, 1), got 1.0: its loss would be infinite")
    needed = (*x.shape[:-1], weight.shape[0])
    if target.shape != needed:
        raise ShapeError(f"marginalised_dropout needs a target of shape {needed}, got {tuple(target.shape)}")
    dtype, wide = x.dtype, torch.float64 if x.dtype == torch.float64 else torch.float32
    x, weight, target = x.to(wide), weight.to(wide), target.to(wide)
    bias = None if bias is None else bias.to(wide)
    if loss == "quadratic":
        mean, variance = fast_dropout_moments(x, used, weight, bias)
        each = (target - mean).square() + variance
    else:
        exponent = _log_expected_exponential(x, used, weight, bias, target)
        each = exponent.exp() if loss == "exponential" else F.softplus(exponent)
    return each.sum(-1).mean().to(dtype)


def check_loss(loss: str) -> None:
    """Raise ``OptionError`` unless ``loss`` is one that has a closed form here."""
    if loss not in ("quadratic", "exponential", "logistic"):
        raise OptionError(f"loss must be 'quadratic', 'exponential' or 'logistic', got {loss!r}")


def _log_expected_exponential(
    x: Tensor, rate: float | Tensor, weight: Tensor, bias: Tensor | None, target: Tensor
) -> Tensor:
    q = torch.as_tensor(rate, dtype=x.dtype, device=x.device).expand_as(x).unsqueeze(-2)
    kept = -target.unsqueeze(-1) * weight * (x.unsqueeze(-2) / (1.0 - q))
    exponent = torch.logaddexp(q.log(), torch.log1p(-q) + kept).sum(-1)
    return exponent if bias is None else exponent - target * bias


class MarginalisedDropout(RateModule):
    """Module form of :func:`marginalised_dropout`: the last layer of a model and its loss in one.

    In eval mode nothing is dropped: the loss is that of the layer's output.

    Args:
        rate: Probability of dropping an input, in ``[0, 1)``.
        layer: The ``nn.Linear`` whose loss it computes. Its parameters stay its own.
        loss: ``"quadratic"``, ``"exponential"`` or ``"logistic"``.
        site: Name of the place; nothing is drawn under it.

    Raises:
        ModuleError: ``layer`` is no ``nn.Linear``.
        OptionError: ``loss`` is none of these words.
    """

    def __init__(
        self, rate: Rate, layer: nn.Linear, loss: Loss = "quadratic", *, site: str | None = None
    ) -> None:
        super().__init__(rate, site=site)
        check_linear("MarginalisedDropout", layer)
        check_loss(loss)
        self.layer = layer
        self.loss: Loss = loss

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the loss for inputs ``x``, shape ``(*, inputs)``, and ``target``, shape ``(*, outputs)``."""
        rate = self.rate if self.training else 0.0
        return marginalised_dropout(
            x, rate, self.layer.weight, self.layer.bias, target=target, loss=self.loss
        )

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, loss={self.loss!r}"


def _example() -> tuple[MarginalisedDropout, tuple[Tensor, Tensor]]:
    return MarginalisedDropout(0.5, nn.Linear(6, 2)), (
        torch.linspace(-1.0, 1.0, 24).view(4, 6),
        torch.ones(4, 2),
    )


register(
    Variant(
        name="marginalised_dropout",
        family="unit noise",
        kind="objective",
        op=marginalised_dropout,
        module=MarginalisedDropout,
        paper='Van der Maaten et al., "Learning with Marginalized Corrupted Features", ICML 2013, PMLR 28(1)',
        year=2013,
        law="loss of a linear model, in expectation over inputs that are 0 with probability rate, else x / (1 - rate); "
        "nothing is drawn",
        at=(),
        default_rate=0.5,
        samples=False,
        example=_example,
    )
)
