"""Fast dropout: a linear layer whose dropout noise is drawn at its output, as the normal variate that it resembles."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dropkit.core import RateError
from dropkit.ops.draws import draw_normal
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input
from dropkit.random import skip_key


def fast_dropout(
    x: Tensor,
    rate: Rate,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Draw the output of a linear layer with dropout on its input from the normal distribution of equal moments.

    ``y = m + s * z``, ``z`` standard normal and independent for each output, ``m = W x + b`` and
    ``s**2 = rate / (1 - rate) * W**2 x**2``: mean and variance are those of ``linear(dropout(x), W, b)`` exactly.
    The sum of many dropped inputs is nearly normal, so its law is, too. One variate an output replaces one coin
    an input.

    Args:
        x: Shape ``(*, inputs)``, floating point. Never modified.
        rate: Probability (dimensionless, per input) of *dropping*, in ``[0, 1)``; a tensor broadcasts over ``x``.
        weight: Shape ``(outputs, inputs)``.
        bias: Shape ``(outputs,)``, or None.
        training: If false, ``m`` is returned and no random number is drawn.
        generator: Source of the noise's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Shape ``(*, outputs)``, dtype and device of ``x``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1)``, where the variance is infinite, or NaN.
        DtypeError: ``x`` is not floating point.

    Reference:
        Wang and Manning, "Fast dropout training", ICML 2013, PMLR 28(2), sec. 3 and 4. *Departures*: inputs are
        scaled while training; outputs of one sample are drawn independently, where one mask would correlate them.
    """
    used = check_input("fast_dropout", x, rate, training=training)
    if isinstance(used, float) and used == 1.0:
        raise RateError("fast_dropout needs a rate in [0, 1), got 1.0: its variance would be infinite")
    if not training:
        return F.linear(x, weight, bias)
    if isinstance(used, float) and used == 0.0:
        skip_key(site, generator)
        return F.linear(x, weight, bias)
    mean, variance = fast_dropout_moments(x, used, weight, bias)
    z = draw_normal(mean.shape, mean.device, generator=generator, site=site)
    least = torch.finfo(variance.dtype).tiny  # sqrt has no slope at 0
    noise = variance.clamp_min(least).sqrt() * z.to(variance.dtype)
    return (mean.to(variance.dtype) + noise).to(mean.dtype)


def fast_dropout_moments(
    mean: Tensor,
    rate: float | Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    variance: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of a linear layer's output under dropout of an input that may be random itself.

    For independent inputs of mean ``m`` and variance ``v``, dropped with ``rate``: ``E[y] = W m + b`` and
    ``Var[y] = W**2 (v + rate * m**2) / (1 - rate)``.

    Args:
        mean: Mean of the input, shape ``(*, inputs)``.
        rate: Probability of dropping, in ``[0, 1)``; a tensor broadcasts over ``mean``.
        weight: Shape ``(outputs, inputs)``.
        bias: Shape ``(outputs,)``, or None.
        variance: Variance of the input, shape of ``mean``; None: it is known exactly.

    Returns:
        Two tensors of shape ``(*, outputs)``: the mean in the dtype of the input, the variance in fp32, or in
        fp64 for fp64.

    Reference:
        Wang and Manning, "Fast dropout training", ICML 2013, PMLR 28(2), sec. 4.
    """
    wide = torch.float64 if mean.dtype == torch.float64 else torch.float32
    share = rate.to(mean.device, wide) if isinstance(rate, Tensor) else rate
    spread = share * mean.to(wide).square()
    if variance is not None:
        spread = spread + variance.to(wide)
    return F.linear(mean, weight, bias), F.linear(spread / (1.0 - share), weight.to(wide).square())
