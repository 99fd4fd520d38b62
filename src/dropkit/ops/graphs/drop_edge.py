"""DropEdge: drop edges of a graph."""

from __future__ import annotations

from typing import overload

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.draws import draw_keep
from dropkit.ops.graphs.edges import check_edges
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.random import Schedule


@overload
def drop_edge(
    x: Tensor,
    rate: Rate,
    edge_attr: None = None,
    *,
    undirected: bool = False,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor: ...


@overload
def drop_edge(
    x: Tensor,
    rate: Rate,
    edge_attr: Tensor,
    *,
    undirected: bool = False,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> tuple[Tensor, Tensor]: ...


def drop_edge(
    x: Tensor,
    rate: Rate,
    edge_attr: Tensor | None = None,
    *,
    undirected: bool = False,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Remove each edge of a graph with probability ``rate``.

    Of ``E`` edges ``E * (1 - rate)`` are left on average, with a variance of ``E * rate * (1 - rate)``, in their
    order; nothing is rescaled. Normalise the adjacency afterwards, as its degrees have changed.

    Args:
        x: The ``edge_index``: shape ``(2, E)``, sources in the first row, targets in the second, whole numbers. Never
            modified.
        rate: Probability (dimensionless, per edge) of *removing*, in ``[0, 1]``; a tensor broadcasts over ``(E,)``.
        edge_attr: Weights or features of the edges, shape ``(E, *)``, or None.
        undirected: Whether an edge and its reverse share one coin, so that a symmetric graph stays symmetric.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        The edges left, shape ``(2, E')``; with ``edge_attr`` a tuple of them and their attributes.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` is not ``(2, E)``, or ``edge_attr`` has another number of edges.
        StreamError: The active stream has one member a row; edges are no batch.
        DtypeError: ``x`` does not hold whole numbers.

    Reference:
        Rong, Huang, Xu and Huang, "DropEdge: Towards Deep Graph Convolutional Networks on Node Classification",
        ICLR 2020, arXiv:1907.10903, sec. 3.1. *Departures*: independent coins (theirs: a fixed number of edges).
    """
    used = resolve_rate(rate) if training or not isinstance(rate, Schedule) else 0.0
    check_edges("drop_edge", x)
    if edge_attr is not None and (edge_attr.ndim == 0 or edge_attr.shape[0] != x.shape[1]):
        raise ShapeError(f"drop_edge needs edge_attr of {x.shape[1]} edges, got {tuple(edge_attr.shape)}")
    if not training:
        return x if edge_attr is None else (x, edge_attr)
    if undirected:
        pairs, of_edge = torch.unique(x.sort(dim=0).values, dim=1, return_inverse=True)
        keep = draw_keep(pairs.shape[1:], used, x.device, generator=generator, site=site, batched=False)[
            of_edge
        ]
    else:
        keep = draw_keep(x.shape[1:], used, x.device, generator=generator, site=site, batched=False)
    return x[:, keep] if edge_attr is None else (x[:, keep], edge_attr[keep])
