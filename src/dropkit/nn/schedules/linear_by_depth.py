"""Rates that grow with depth: the linear decay rule of stochastic depth."""

from __future__ import annotations

import torch

from dropkit.core import Variant, check_rate, register
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
