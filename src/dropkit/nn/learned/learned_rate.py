"""A rate that is a parameter: its logit is learned, so that it stays inside its interval."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dropkit.core import RateError
from dropkit.nn.learned.axes import with_axes
from dropkit.nn.module import RateModule
from dropkit.ops.rate import Rate, accept_rate
from dropkit.random import Schedule


class LearnedRate(RateModule):
    """A module that learns its rate, ``highest * sigmoid(logit)``.

    Args:
        rate: Rate to start from, a number inside ``(0, highest)``. It may be set again at any time; ``rate`` is then
            a tensor that carries gradients.
        features: Number of units that learn a rate each, or None: one rate for all.
        site: Name under which an active stream counts its calls.
    """

    highest = 1.0

    def __init__(self, rate: float, features: int | None = None, *, site: str | None = None) -> None:
        nn.Module.__init__(self)
        self.features = features
        self.logit = nn.Parameter(torch.empty(1 if features is None else features))
        self.rate = rate
        self.site = site

    @property
    def rate(self) -> Rate:
        """Probability of dropping, a tensor that carries gradients."""
        return self.rates()

    @rate.setter
    def rate(self, value: Rate) -> None:
        accepted = accept_rate(value)
        if isinstance(accepted, (Schedule, nn.Parameter)):
            raise RateError(
                f"{type(self).__name__} learns its rate; give a number to start from, got {value!r}"
            )
        start = torch.as_tensor(accepted, dtype=torch.float64, device=self.logit.device).detach()
        shape = () if self.features is None else (self.features,)
        if start.ndim and start.shape != shape:
            raise RateError(f"{type(self).__name__} learns rates of shape {shape}, got {tuple(start.shape)}")
        inside = (start > 0.0) & (start < self.highest)
        if not bool(inside.all()):
            raise RateError(
                f"{type(self).__name__} learns its rate and needs a start inside (0, {self.highest:g}), got {value!r}"
            )
        with torch.no_grad():
            self.logit.copy_(torch.logit(start / self.highest).expand_as(self.logit))

    def rates(self) -> Tensor:
        """Return the rate of every unit, or the one of all."""
        return self.highest * torch.sigmoid(self.logits())

    def logits(self) -> Tensor:
        """Return what the rates come from, in their shape: 0-d where there is one for all."""
        return self.logit.reshape(()) if self.features is None else self.logit

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(with_axes(state_dict, prefix, "logit"), prefix, *rest)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        rates = self.rates().detach().float()
        each = "" if self.features is None else f", features={self.features}"
        return f"rate={rates.mean():g}{each}" + ("" if self.site is None else f", site={self.site!r}")
