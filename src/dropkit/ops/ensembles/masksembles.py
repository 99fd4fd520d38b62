"""Masksembles: every member of the ensemble sees its own fixed subset of the features."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import DtypeError, ShapeError
from dropkit.ops.ensembles.rows import row_members


def masksembles(x: Tensor, masks: Tensor, *, site: str | None = None) -> Tensor:
    """Zero the features that a row's member does not have; nothing is random and nothing rescaled.

    ``y[i, c] = x[i, c] * masks[m, c]`` with ``m = (i + member) % members``, where ``member`` and the index ``i`` of a
    row are those of the active stream, if any. It is the same in training and in eval mode.

    Args:
        x: Shape ``(N, C, *)``, floating point. Never modified.
        masks: Boolean, shape ``(members, C)``, True = kept; made by :class:`dropkit.nn.Masksembles`.
        site: Name of the site.

    Returns:
        Same shape, dtype and device as ``x``; masked features are exact zeros, even where ``x`` is not finite.

    Raises:
        DtypeError: ``x`` is not floating point, or ``masks`` is not boolean.
        ShapeError: ``x`` has no feature axis, or another number of features than the masks.

    Reference:
        Durasov et al., "Masksembles for Uncertainty Estimation", CVPR 2021, arXiv:2012.08334, sec. 3. *Departures*:
        members take turns over the rows (theirs: contiguous groups of a batch that the group size divides), and
        follow the stream's ``member``.
    """
    if not x.is_floating_point():
        raise DtypeError(
            f"masksembles needs a floating-point tensor, got {x.dtype}; use it after a layer or cast"
        )
    if masks.dtype != torch.bool or masks.ndim != 2:
        raise DtypeError(
            f"masksembles needs boolean masks of shape (members, C), got {masks.dtype} of shape "
            f"{tuple(masks.shape)}"
        )
    if x.ndim < 2 or x.shape[1] != masks.shape[1]:
        raise ShapeError(
            f"masksembles needs shape (N, {masks.shape[1]}, *), as the masks have {masks.shape[1]} features, got "
            f"{tuple(x.shape)}"
        )
    member = row_members(x.shape[0], masks.shape[0], x.device, site)
    keep = masks[member].view(x.shape[0], x.shape[1], *[1] * (x.ndim - 2))
    return torch.where(keep, x, 0.0)
