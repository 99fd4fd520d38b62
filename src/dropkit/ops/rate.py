"""What may be given as a rate, and what an op makes of it."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor

from dropkit.core import RateError, check_rate
from dropkit.random import Schedule
from dropkit.random.draw import can_branch_on_data

Rate: TypeAlias = float | Tensor | Schedule


def accept_rate(rate: Rate, name: str = "rate") -> Rate:
    """Return ``rate`` if it is legal: a number, a floating-point tensor of numbers in ``[0, 1]``, or a schedule.

    Raises:
        RateError: It is none of these, or outside ``[0, 1]``. A tensor's values are looked at where that costs no
            wait for a device: on the CPU, in eager code.
    """
    if isinstance(rate, Schedule):
        return rate
    if not isinstance(rate, Tensor):
        return check_rate(rate, name)
    if not rate.is_floating_point():
        raise RateError(
            f"{name} must be a number in [0, 1] or a floating-point tensor, got one of {rate.dtype}"
        )
    if can_branch_on_data(rate.device):
        outside = rate[~((rate >= 0) & (rate <= 1))]  # NaN is outside, too
        if outside.numel():
            raise RateError(f"{name} must be in [0, 1], got a tensor with {outside[0].item()!r}")
    return rate


def resolve_rate(rate: Rate) -> float | Tensor:
    """Return the rate that a call uses: a float, or a tensor that no gradient reaches.

    A mask is no differentiable function of its rate, so a parameter given as a rate is a constant here;
    ``dropkit.nn.ConcreteDropout`` and its like learn rates. A tensor stays a tensor where it has several values,
    or where reading its one value would wait for a device or be impossible, as in compiled code.
    """
    if type(rate) is float and 0.0 <= rate <= 1.0:  # nearly every call
        return rate
    rate = accept_rate(rate)
    if isinstance(rate, Schedule):
        return rate.now()
    if isinstance(rate, Tensor):
        return rate.item() if rate.ndim == 0 and can_branch_on_data(rate.device) else rate.detach()
    return rate
