"""DropNode: drop the features of whole nodes of a graph."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def drop_node(
    x: Tensor,
    rate: Rate,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Zero all features of randomly chosen nodes and rescale the others.

    Row ``v`` becomes ``x[v] / (1 - rate)`` with probability ``1 - rate``, else 0, so ``E[y] = x`` and
    ``Var[y] = x**2 * rate / (1 - rate)``. The graph itself keeps its nodes and edges: neighbours make up for what is
    lost when features are propagated.

    Args:
        x: Features, shape ``(V, *)``, floating point. Never modified.
        rate: Probability (dimensionless, per node) of *dropping*, in ``[0, 1]``.
        training: If false, ``x`` itself is returned and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        Same shape, dtype and device as ``x``; dropped rows are exact zeros.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has no axis of nodes.
        StreamError: The active stream has one member a row; the rows of a graph's nodes are no batch.
        DtypeError: ``x`` is not floating point.

    Reference:
        Feng et al., "Graph Random Neural Network for Semi-Supervised Learning on Graphs", NeurIPS 2020,
        arXiv:2005.11079, algorithm 1.
    """
    used = check_input("drop_node", x, rate, training=training)
    if x.ndim == 0:
        raise ShapeError("drop_node needs shape (V, *), got a 0-d tensor")
    if not training:
        return x
    return drop(x, used, (x.shape[0], *[1] * (x.ndim - 1)), generator=generator, site=site, batched=False)
