"""Homeostatic dropout: units that fire too often are dropped more, until they keep a target activity."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import OptionError, Variant, check_rate, register
from dropkit.nn.learned.penalised import in_transform
from dropkit.ops import dropout
from dropkit.ops.axes import along, check_units
from dropkit.random.recompute import region
from dropkit.random.stream import innermost


class HomeostaticDropout(nn.Module):
    """Dropout with one rate a unit, which moves until the unit fires as often as it should.

    The activity of a unit is the probability that it is positive and kept, ``(1 - rate) * P(x > 0)``. In training,
    ``rate`` becomes ``rate + speed * (activity - target)``, clipped to ``[0, limit]``, with the activity since the
    last move: so it comes to rest at ``1 - target / P(x > 0)``, or at 0 for a unit that fires too seldom anyhow. Given
    its rate each element is zero with that probability, else ``x / (1 - rate)``: mean ``x``. In eval mode it returns
    ``x``.

    Rates move at most once a step of the active stream; without one, at each forward pass. They rest where
    gradients are off (a prediction that samples), inside ``torch.func`` transforms, and in a recomputation during
    backward. The rates and what they are moved by are buffers.

    Args:
        features: Number of units along ``axis``.
        target: Activity to keep (dimensionless), in ``[0, 1]``.
        rate: Rate to start from, in ``[0, limit]``.
        speed: How far a rate moves per unit of excess activity, above 0.
        limit: Largest rate, in ``[0, 1]``.
        axis: Axis of the input along which units lie; all other positions are samples of their activity.
        site: Name under which an active stream counts its calls.

    Raises:
        RateError: ``rate`` or ``limit`` is outside its interval.
        OptionError: ``target`` or ``speed`` is.

    Reference:
        Lazar, Pipa & Triesch, "SORN: a self-organizing recurrent neural network", Front. Comput. Neurosci. 2009,
        intrinsic plasticity, ``T += eta * (x - target)``, doi:10.3389/neuro.10.023.2009. *Departures*: the drop rate
        takes the place of the threshold ``T``; activities are averaged over a batch.
    """

    def __init__(
        self,
        features: int,
        *,
        target: float = 0.2,
        rate: float = 0.1,
        speed: float = 0.1,
        limit: float = 0.9,
        axis: int = 1,
        site: str | None = None,
    ) -> None:
        if not 0.0 <= target <= 1.0:
            raise OptionError(f"target must be in [0, 1], got {target!r}")
        if not 0.0 < speed < float("inf"):
            raise OptionError(f"speed must be positive and finite, got {speed!r}")
        if not check_rate(rate) <= check_rate(limit, "limit"):
            raise OptionError(f"rate must be at most the limit {limit:g}, got {rate!r}")
        super().__init__()
        self.target = target
        self.speed = speed
        self.limit = limit
        self.axis = axis
        self.site = site
        self.rates: Tensor
        self.activity: Tensor
        self.calls: Tensor
        self.moved_at: Tensor
        self.register_buffer("rates", torch.full((features,), float(rate)))
        self.register_buffer("activity", torch.zeros(features))
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("moved_at", torch.tensor(-1))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, ..., features, ...)``."""
        check_units("HomeostaticDropout", len(self.rates), x, self.axis)
        learns = self.training and _may_learn()
        if learns:
            self._move()
        y = dropout(x, along("dropout", self.rates, x, self.axis), training=self.training, site=self.site)
        if learns and x.numel():
            self._record(x)
        return y

    @torch.no_grad()
    def _move(self) -> None:
        stream = innermost()
        due = self.calls > 0
        if stream is not None:
            step = stream.traced_step().to(due.device)
            due = due & (step != self.moved_at)
            self.moved_at.copy_(step)
        active = (1.0 - self.rates) * self.activity / self.calls.clamp_min(1.0)
        moved = (self.rates + self.speed * (active - self.target)).clamp(0.0, self.limit)
        self.rates.copy_(torch.where(due, moved, self.rates))
        self.activity.copy_(torch.where(due, 0.0, self.activity))
        self.calls.copy_(torch.where(due, 0.0, self.calls))

    @torch.no_grad()
    def _record(self, x: Tensor) -> None:
        positions = [i for i in range(x.ndim) if i != self.axis % x.ndim]
        self.activity.add_((x > 0).float().mean(positions))
        self.calls.add_(1.0)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        site = "" if self.site is None else f", site={self.site!r}"
        return (
            f"features={len(self.rates)}, target={self.target:g}, mean rate={self.rates.float().mean():g}, "
            f"speed={self.speed:g}, limit={self.limit:g}, axis={self.axis}{site}"
        )


def _may_learn() -> bool:
    if torch.compiler.is_compiling():
        return torch.is_grad_enabled()
    if in_transform():
        return False
    here = region()
    return not here.recomputing and (
        torch.is_grad_enabled() or bool(here.tapes)
    )  # a region is entered without them


register(
    Variant(
        name="homeostatic_dropout",
        family="biologically inspired",
        kind="module",
        op=None,
        module=HomeostaticDropout,
        paper=(
            'Lazar, Pipa & Triesch, "SORN: a self-organizing recurrent neural network", Front. Comput. Neurosci. '
            "2009, doi:10.3389/neuro.10.023.2009 (the rule)"
        ),
        year=2009,
        law="each unit has a rate that moves by speed * ((1 - rate) P(x > 0) - target); dropped 0, else x / (1 - rate)",
        at=("hidden", "conv", "fc"),
        default_rate=None,
        samples=True,
        example=lambda: (HomeostaticDropout(16, rate=0.5), torch.ones(8, 16)),
    )
)
