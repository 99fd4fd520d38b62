"""DropMessage: drop single features of the messages that nodes of a graph send along its edges."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError
from dropkit.ops.drop import drop
from dropkit.ops.graphs.edges import check_edges
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def drop_message(
    x: Tensor,
    rate: Rate,
    edge_index: Tensor,
    *,
    training: bool,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Gather the messages of all edges and zero single features of them, rescaling the others.

    The message of edge ``e`` is the row ``m[e] = x[source of e]``; each of its features becomes ``m / (1 - rate)``
    with probability ``1 - rate``, else 0, with a coin of its own, so ``E[y] = m`` and ``Var[y] = m**2 * rate /
    (1 - rate)``. Dropout, DropNode and DropEdge drop messages, too, with coins that several of them share.

    Args:
        x: Features of the nodes, shape ``(V, *)``, floating point. Never modified.
        rate: Probability (dimensionless, per feature of a message) of *dropping*, in ``[0, 1]``.
        edge_index: Shape ``(2, E)``, sources in the first row, targets in the second, whole numbers.
        training: If false, the messages are returned whole and no random number is drawn.
        generator: Source of the mask's key. Default: the active stream, else PyTorch's own generator.
        site: Name under which an active stream counts this call.

    Returns:
        The messages, shape ``(E, *)``, dtype and device of ``x``, to be summed over ``edge_index[1]``, e.g. with
        ``torch.zeros_like(x).index_add(0, edge_index[1], messages)``.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        ShapeError: ``x`` has no axis of nodes, or ``edge_index`` is not ``(2, E)``.
        StreamError: The active stream has one member a row; the rows of a graph's nodes are no batch.
        DtypeError: ``x`` is not floating point, or ``edge_index`` does not hold whole numbers.

    Reference:
        Fang, Xiao, Wang, Xu, Yang and Yang, "DropMessage: Unifying Random Dropping for Graph Neural Networks", AAAI
        2023, arXiv:2204.10037, sec. 3.
    """
    used = check_input("drop_message", x, rate, training=training)
    if x.ndim == 0:
        raise ShapeError("drop_message needs features of shape (V, *), got a 0-d tensor")
    check_edges("drop_message", edge_index)
    messages = x.index_select(0, edge_index[0])
    if not training:
        return messages
    return drop(messages, used, None, generator=generator, site=site, batched=False)
