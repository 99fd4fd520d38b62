"""Rates that grow with depth: the linear decay rule of stochastic depth."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dropkit.core import OptionError, Variant, check_rate, register
from dropkit.nn.paths.drop_path import DropPath
from dropkit.nn.schedules.checks import check_steps


def linear_by_depth(layers: int, rate: float) -> list[float]:
    """Return the rate of each of ``layers`` residual branches: layer ``l`` of ``L`` gets ``rate * l / L``.

    Args:
        layers: Number of branches ``L``, at least 1.
        rate: Rate of the last one, in ``[0, 1]``.

    Returns:
        ``L`` rates, from ``rate / L`` for the first to ``rate`` for the last.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]``.
        OptionError: ``layers`` is below 1.

    Reference:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382, eq. (4). timm starts at 0
        instead: ``linspace(0, rate, L)``.
    """
    check_rate(rate)
    return [rate * (number + 1) / layers for number in range(check_steps("layers", layers))]


@dataclass(frozen=True)
class LinearByDepth:
    """The rate of a rule whose sites are the layers of a stack: it grows linearly with depth.

    Sites in one numbered block, as ``layers.3.attention`` and ``layers.3.mlp``, share their rate.

    Args:
        rate: Rate of the last layer, in ``[0, 1]``.
        from_zero: Whether the first layer gets 0, as in timm; else ``rate / L``, as in the paper.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]``.
        OptionError: ``from_zero`` is no bool.

    Reference:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382, eq. (4).
    """

    rate: float
    from_zero: bool = False

    def __post_init__(self) -> None:
        check_rate(self.rate)
        if not isinstance(self.from_zero, bool):
            raise OptionError(f"from_zero must be True or False, got {self.from_zero!r}")

    def rates(self, layers: int) -> list[float]:
        """Return the rate of each of ``layers`` layers, the first one first; a single layer gets ``rate``."""
        if self.from_zero and check_steps("layers", layers) > 1:
            return [0.0, *linear_by_depth(layers - 1, self.rate)]
        return linear_by_depth(layers, self.rate)


register(
    Variant(
        name="linear_by_depth",
        family="schedules",
        kind="schedule",
        op=None,
        module=None,
        paper='Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382',
        year=2016,
        law="rate of layer l of L = rate l / L",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (
            torch.nn.Sequential(*(DropPath(rate) for rate in linear_by_depth(3, 0.5))),
            torch.ones(32, 4),
        ),
    )
)
