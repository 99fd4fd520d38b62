"""Shake-Shake: a random convex mix of two branches, another one backwards."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dropkit.core import DtypeError, OptionError, ShapeError
from dropkit.ops.draws import draw_uniform
from dropkit.ops.paths.steer import steer

Backward = Literal["shake", "even", "keep"]


def check_backward(backward: str) -> None:
    """Raise ``OptionError`` unless ``backward`` is one of the paper's words."""
    if backward not in ("shake", "even", "keep"):
        raise OptionError(f"backward must be 'shake', 'even' or 'keep', got {backward!r}")


def shake_shake(
    x: Tensor,
    other: Tensor,
    *,
    training: bool,
    backward: Backward = "shake",
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Return ``a * x + (1 - a) * other`` with ``a`` uniform in (0, 1) a sample; its gradient uses another number.

    ``E[y] = (x + other) / 2``, which is also the output in eval mode, and ``Var[y] = (x - other)**2 / 12``. The
    gradients are ``b * g`` for ``x`` and ``(1 - b) * g`` for ``other``, with ``b`` uniform and independent of ``a``
    (``"shake"``), 1/2 (``"even"``) or ``a`` itself (``"keep"``). ``torch.compile``, checkpointing and ``vmap`` work;
    forward-mode differentiation raises, as there is no one derivative.

    Args:
        x: Output of the first branch, shape ``(N, *)``, floating point. Never modified.
        other: Output of the second branch, of the same shape and dtype.
        training: If false, the mean of both is returned and no random number is drawn.
        backward: ``"shake"``, ``"even"`` or ``"keep"``.
        generator: Source of the numbers' keys, drawn from once or twice. Default: the active stream, else PyTorch's
            generator.
        site: Name under which an active stream counts this call, and ``"<site>:backward"`` another one.

    Returns:
        Same shape, dtype and device as ``x``.

    Raises:
        DtypeError: ``x`` is not floating point, or the dtypes differ.
        ShapeError: The shapes differ, or there is no batch axis.
        OptionError: ``backward`` is none of the words.

    Reference:
        Gastaldi, "Shake-Shake regularization", 2017, arXiv:1705.07485, eq. (2): level "image", forward
        "shake". *Departures*: the residual sum is the caller's.
    """
    check_backward(backward)
    if not x.is_floating_point() or other.dtype != x.dtype:
        raise DtypeError(
            f"shake_shake needs two floating-point tensors of one dtype, got {x.dtype} and {other.dtype}"
        )
    if x.ndim == 0 or other.shape != x.shape:
        raise ShapeError(
            f"shake_shake needs two tensors of one shape (N, *), got {tuple(x.shape)} and {tuple(other.shape)}"
        )
    if not training:
        return (x + other) / 2
    shape = (x.shape[0], *[1] * (x.ndim - 1))
    a = draw_uniform(shape, x.device, generator=generator, site=site)
    b = a
    if backward == "even":
        b = torch.full_like(a, 0.5)
    elif backward == "shake":
        second = None if site is None else f"{site}:backward"
        b = draw_uniform(shape, x.device, generator=generator, site=second)
    return steer(x, a, b) + steer(other, 1.0 - a, 1.0 - b)
